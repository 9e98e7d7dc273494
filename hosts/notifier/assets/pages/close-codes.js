// What a WebSocket close code of the notifier asks of a client.

const STAY = 'stay away until something has changed';

const CODES = {
  1000: { name: 'normal', asks: 'both sides are done', then: 'stay' },
  1001: { name: 'going away', asks: 'the server ends: come back at a random moment of the next 1 to 10 s', then: 'spread' },
  1002: { name: 'protocol error', asks: `what this client sent breaks the protocol: ${STAY}`, then: 'stay' },
  1003: { name: 'unsupported', asks: `only text is understood: ${STAY}`, then: 'stay' },
  1006: { name: 'lost', asks: 'the connection broke without a word: come back, and wait longer each time', then: 'backoff' },
  1007: { name: 'invalid text', asks: `what this client sent is no UTF-8: ${STAY}`, then: 'stay' },
  1009: { name: 'too long', asks: `what this client sent is too long: ${STAY}`, then: 'stay' },
  1012: { name: 'restart', asks: 'the server restarts: come back at a random moment of the next 1 to 10 s', then: 'spread' },
  1013: { name: 'overload', asks: 'the server has too many clients: come back much later', then: 'later' },
  4400: { name: 'bad request', asks: `the query cannot be read: ${STAY}`, then: 'stay' },
  4401: { name: 'not authorized', asks: 'the token is missing or has expired: come back with a new one', then: 'token' },
  4403: { name: 'topic not allowed', asks: `the topics are not allowed to this client: ${STAY}`, then: 'stay' },
  4408: { name: 'too slow', asks: 'this client was too far behind: come back at once and resume', then: 'at-once' },
  4429: { name: 'too many', asks: 'too many topics or messages: come back with fewer', then: 'stay' },
};

/** `{name, asks, then}`; what is not known is treated like a broken connection. */
export function meaning(code) {
  return CODES[code] ?? { name: 'unknown', asks: 'not one of ours: come back, and wait longer each time', then: 'backoff' };
}

/** How long to wait before the next attempt, in milliseconds; `attempts` is how many have failed since the last good connection. */
export function delay(then, attempts) {
  switch (then) {
    case 'at-once':
      // Once. A client that is too slow again right away would do nothing else.
      return attempts === 0 ? 0 : delay('backoff', attempts);
    case 'spread':
      // Thousands of clients lose the same server at the same moment, and must not find it again at the same moment.
      return between(1_000, 10_000);
    case 'later':
      return between(5_000, Math.min(60_000, 10_000 * 2 ** attempts));
    default:
      return between(250, Math.min(30_000, 1_000 * 2 ** attempts));
  }
}

function between(least, most) {
  return least + Math.random() * (most - least);
}
