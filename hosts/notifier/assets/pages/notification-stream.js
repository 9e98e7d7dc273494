// Notifications over Server-Sent Events.
//
// EventSource does most of what a client must do to miss nothing: it remembers the last id (checkpoints included), comes back when the connection
// ends, as late as the server's `retry:` asks, and says where it stood. What is added here is the rest: coming back after having been closed, telling
// "connected" from merely "answered", and asking why when the browser has given up.

import { problem } from './send.js';

/** EventSource hears only events that somebody listens for by name. */
export const BUILT_IN_EVENTS = ['StudentCreated', 'StudentUpdated', 'StudentDeleted', 'StudentCached', 'Hello'];

/** Names with a meaning of their own, for EventSource or for this protocol. */
const RESERVED_EVENTS = ['connected', 'gap', 'open', 'error', 'message', 'reconnect'];

/**
 * Dispatches, each with a `detail`:
 * - `state` `{state, why}`, where state is `connecting`, `connected` or `disconnected`
 * - `connected` `{clientId, position, isResumed, isReconnect}`
 * - `notification` `{position, topic, event, data}`
 * - `gap` `{reason, requested, oldest, newest, position}`, position being where it goes on
 */
export class NotificationStream extends EventTarget {
  #path;
  #source = null;
  #names = new Set(BUILT_IN_EVENTS);
  #isReconnect = false;

  /** The topics wanted, as patterns with commas between them; empty for everything. */
  topics;
  /** Where it stands: the id of the last event heard. */
  position = null;

  constructor(path, topics = '') {
    super();
    this.#path = path;
    this.topics = topics;
  }

  get names() {
    return [...this.#names];
  }

  /** Connects, after the last position when there is one. */
  open() {
    this.#leave();
    this.#tell('state', { state: 'connecting', why: '' });
    const source = new EventSource(this.#url());
    this.#source = source;
    source.addEventListener('connected', (event) => this.#connected(event));
    source.addEventListener('gap', (event) => this.#hear(event, 'gap', { ...JSON.parse(event.data), position: event.lastEventId }));
    source.addEventListener('error', () => this.#lost());
    for (const name of this.#names) this.#attach(name);
  }

  /** Leaves, and remembers where it stood. */
  close(why = 'closed by this page') {
    this.#leave();
    this.#tell('state', { state: 'disconnected', why });
  }

  /** Changes the topics. A stream has the topics it was opened with, so this is a new one; after the same position, so that nothing falls between. */
  change(topics) {
    this.topics = topics;
    this.#isReconnect = false;
    this.open();
  }

  /** Listens for events of one more name, from now on. */
  listen(name) {
    if (name === '' || this.#names.has(name) || RESERVED_EVENTS.includes(name)) return;
    this.#names.add(name);
    if (this.#source) this.#attach(name);
  }

  #url() {
    const url = new URL(this.#path, location);
    if (this.topics !== '') url.searchParams.set('topics', this.topics);
    // When the browser comes back by itself it sends a header with what it knows, and the header wins.
    if (this.position !== null) url.searchParams.set('lastEventId', this.position);
    return url;
  }

  #attach(name) {
    this.#source.addEventListener(name, (event) => {
      const data = read(event.data);
      // The topic is not on this wire; bodies of student events tell theirs.
      const topic = typeof data?.routingKey === 'string' ? data.routingKey : null;
      this.#hear(event, 'notification', { position: event.lastEventId, topic, event: name, data });
    });
  }

  /** Only now: `open` would also come before an answer that says "come back later" and ends, as when the server is full. */
  #connected(event) {
    const { clientId, position } = JSON.parse(event.data);
    this.#tell('state', { state: 'connected', why: '' });
    const [isResumed, isReconnect] = [this.position !== null, this.#isReconnect];
    this.#isReconnect = true;
    this.#hear(event, 'connected', { clientId, position, isResumed, isReconnect });
  }

  /** The position moves after the event was handled: whoever stops in between gets it again, rather than never. */
  #hear(event, type, detail) {
    this.#tell(type, detail);
    this.position = event.lastEventId;
  }

  async #lost() {
    const source = this.#source;
    if (source.readyState !== EventSource.CLOSED) {
      this.#tell('state', { state: 'connecting', why: 'the connection ended; the browser comes back by itself' });
      return;
    }
    const url = this.#url();
    this.#leave();
    const why = 'the browser has given up (readyState 2): the answer was no event stream';
    this.#tell('state', { state: 'disconnected', why });
    const reason = await askWhy(url);
    if (reason !== '' && this.#source === null) this.#tell('state', { state: 'disconnected', why: `${why}: ${reason}` });
  }

  #leave() {
    this.#source?.close();
    this.#source = null;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** A body is JSON, or else any text. */
function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** EventSource does not tell a page what the answer was, so the same is asked once more by other means. */
async function askWhy(url) {
  const abort = new AbortController();
  try {
    const answer = await fetch(url, { signal: abort.signal });
    return answer.ok ? '' : await problem(answer);
  } catch {
    return 'it cannot be reached';
  } finally {
    abort.abort();
  }
}
