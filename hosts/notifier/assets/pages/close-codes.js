// What a WebSocket close code of the notifier asks of a client.

const SPREAD = 'come back at a random moment of the next 1 to 10 s';
const LONGER = 'come back, and wait longer each time';
const STAY = 'stay away until something has changed';

const CODES = {
  1000: { name: 'both sides are done', asks: 'stay away', then: 'stay' },
  1001: { name: 'the server ends', asks: SPREAD, then: 'spread' },
  1002: { name: 'what was sent breaks the protocol', asks: STAY, then: 'stay' },
  1003: { name: 'only text is understood', asks: STAY, then: 'stay' },
  1006: { name: 'the connection broke without a word', asks: LONGER, then: 'backoff' },
  1007: { name: 'what was sent is no UTF-8', asks: STAY, then: 'stay' },
  1009: { name: 'what was sent is too long', asks: STAY, then: 'stay' },
  1012: { name: 'the server restarts', asks: SPREAD, then: 'spread' },
  1013: { name: 'the server has too many clients', asks: 'come back much later', then: 'later' },
  4400: { name: 'the query cannot be read', asks: STAY, then: 'stay' },
  4401: { name: 'the token is missing or has expired', asks: 'come back with a new one', then: 'token' },
  4403: { name: 'the topics are not allowed', asks: 'stay away, or ask for others', then: 'stay' },
  4408: { name: 'this client was too far behind', asks: 'come back at once and resume', then: 'at-once' },
  4429: { name: 'too many topics or messages', asks: 'come back with fewer', then: 'stay' },
};

/** `{name, asks, then}`; what is not known is treated like a broken connection. */
export function meaning(code) {
  return CODES[code] ?? { name: 'not one of the known codes', asks: LONGER, then: 'backoff' };
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
