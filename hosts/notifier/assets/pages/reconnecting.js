// Notifications over WebSocket: what a client must do to never miss anything.
//
// 1. Remember the `position` of the last message that had one: notifications, checkpoints, gaps, all of them.
// 2. When the connection ends, come back as its close code asks, with `after=<position>` and the topics of now. The server sends what came meanwhile.
// 3. Doubt silence. A connection can be dead without either side being told; a ping that is not answered settles it.
// 4. Heed `gap`: the server says so when it no longer has everything. Then, and only then, fetch the present state anew.

import { delay, meaning } from './close-codes.js';

/** An attempt that takes longer has failed. */
const HANDSHAKE_MS = 10_000;
/** The server speaks at least every 15 s unless configured otherwise; after this long we ask. */
const SILENCE_MS = 40_000;
/** How long an answer to that may take. */
const ANSWER_MS = 10_000;
/** A connection that lasted this long was a good one: waiting begins anew. */
const GOOD_MS = 5_000;

/**
 * Dispatches, each with a `detail`:
 * - `state` `{state, why, retryAt?}`, where state is `connecting`, `connected` or `disconnected`
 * - `closed` `{code, reason, name, asks}`
 * - every message of the server under its type: `connected` (with `isResumed` and `isReconnect` added), `notification`, `gap`, `subscribed`,
 *   `checkpoint`, `error`, `pong`
 */
export class ReconnectingNotifications extends EventTarget {
  #path;
  #newToken;
  #token = null;
  #socket = null;
  #isConnected = false;
  #wasConnected = false;
  #attempts = 0;
  /** What was asked and not answered yet, in order; answers come in the same order. */
  #unanswered = [];
  #retryTimer;
  #silenceTimer;
  #goodTimer;

  /** The topics of now, and null for all that this client may see. */
  topics;
  /** Where it stands: the position of the last message that had one. */
  position = null;

  /** `newToken` is an async function that gets an access token, where the server wants one. */
  constructor(path, { topics = null, newToken = null } = {}) {
    super();
    this.#path = path;
    this.topics = topics;
    this.#newToken = newToken;
    // No need to sit out the wait when the network is back.
    addEventListener('online', () => this.#retryTimer !== undefined && this.open());
  }

  /** Connects, after the last position when there is one. */
  async open() {
    this.#leave();
    this.#tell('state', { state: 'connecting', why: '' });
    const attempt = setTimeout(() => this.#lost(1006, 'no answer in time'), HANDSHAKE_MS);
    this.#silenceTimer = attempt;
    if (this.#newToken && this.#token === null) {
      const token = await this.#newToken().catch(() => null);
      // Closed or opened again meanwhile, or out of time.
      if (attempt !== this.#silenceTimer) return;
      if (token === null) return this.#lost(1006, 'no token to be had');
      this.#token = token;
    }
    const socket = new WebSocket(this.#url());
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data)));
    // An `error` tells nothing, and a `close` always follows it.
    socket.addEventListener('close', ({ code, reason }) => socket === this.#socket && this.#lost(code, reason));
  }

  /** Leaves for good, and remembers where it stood. */
  close(why = 'closed by this page') {
    this.#leave();
    this.#tell('state', { state: 'disconnected', why });
  }

  /** More topics, from here on. */
  subscribe(topics) {
    this.#ask({ type: 'subscribe', topics });
  }

  /** Fewer topics. */
  unsubscribe(topics) {
    this.#ask({ type: 'unsubscribe', topics });
  }

  /** Exactly these topics. First more, then fewer: those that stay are never without a subscription. */
  setTopics(topics) {
    const before = this.#wish();
    const [more, fewer] = [topics.filter((topic) => !before.includes(topic)), before.filter((topic) => !topics.includes(topic))];
    if (more.length > 0) this.subscribe(more);
    if (fewer.length > 0) this.unsubscribe(fewer);
  }

  /** Asks for a `pong`; false when there is nobody to ask. */
  ping() {
    if (this.#isConnected) this.#send({ type: 'ping' });
    return this.#isConnected;
  }

  #url() {
    const url = new URL(this.#path, location);
    url.protocol = url.protocol.replace('http', 'ws');
    // Left out means everything; empty means nothing yet.
    if (this.topics !== null) url.searchParams.set('topics', this.topics.join(','));
    if (this.position !== null) url.searchParams.set('after', this.position);
    if (this.#token !== null) url.searchParams.set('access_token', this.#token);
    return url;
  }

  #hear(message) {
    this.#doubtSilence();
    switch (message.type) {
      case 'connected':
        this.#connected(message);
        break;
      case 'notification':
        message.replay ??= false;
        break;
      case 'subscribed':
        this.#unanswered.shift();
        this.topics = message.topics;
        break;
      case 'error':
        this.#unanswered.shift();
        break;
    }
    this.#tell(message.type, message);
    // After it was handled: whoever stops in between gets it again, rather than never.
    if (message.position !== undefined) this.position = message.position;
  }

  #connected(message) {
    this.#isConnected = true;
    this.#goodTimer = setTimeout(() => (this.#attempts = 0), GOOD_MS);
    message.isResumed = this.position !== null;
    message.isReconnect = this.#wasConnected;
    this.#wasConnected = true;
    this.#tell('state', { state: 'connected', why: '' });
    for (const command of this.#unanswered) this.#send(command);
  }

  #lost(code, reason) {
    const { name, asks, then } = meaning(code);
    this.#leave();
    this.#tell('closed', { code, reason, name, asks });
    const words = `${code}, ${name}: ${asks}`;
    if (then === 'stay' || (then === 'token' && !this.#newToken)) {
      // What is wrong with what we asked for.
      this.#tell('state', { state: 'disconnected', why: reason ? `${words} (${reason})` : words });
      return;
    }
    if (then === 'token') this.#token = null;
    const wait = delay(then, this.#attempts);
    this.#attempts += 1;
    this.#retryTimer = setTimeout(() => this.open(), wait);
    this.#tell('state', { state: 'disconnected', why: words, retryAt: Date.now() + wait });
  }

  /** Asks now, or as soon as there is a connection. */
  #ask(command) {
    this.#unanswered.push(command);
    if (this.#isConnected) this.#send(command);
    // Without a connection the wish goes into the next query.
    if (!this.#socket) this.#takeWish();
  }

  /** The topics as they will be when all that was asked for has been granted. */
  #wish() {
    return this.#unanswered.reduce((wish, { type, topics }) => {
      const others = wish.filter((topic) => !topics.includes(topic));
      return type === 'subscribe' ? [...others, ...topics] : others;
    }, this.topics ?? ['#']);
  }

  #takeWish() {
    if (this.#unanswered.length > 0) this.topics = this.#wish();
    this.#unanswered.length = 0;
  }

  #doubtSilence() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      this.ping();
      this.#silenceTimer = setTimeout(() => this.#lost(1006, 'no sign of life'), ANSWER_MS);
    }, SILENCE_MS);
  }

  #leave() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#goodTimer);
    this.#retryTimer = this.#silenceTimer = undefined;
    const socket = this.#socket;
    // Forgotten before it is closed: what it still has to say must not move the position.
    this.#socket = null;
    this.#isConnected = false;
    socket?.close();
    this.#takeWish();
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
