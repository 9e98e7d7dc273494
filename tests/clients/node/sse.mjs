// The npm client `eventsource`, with everything it was told kept for looking at.
import { EventSource } from 'eventsource';
import { until } from './wait.mjs';

const STUDENT_EVENTS = ['StudentCreated', 'StudentUpdated', 'StudentDeleted', 'StudentCached'];

/** Everything that arrives: `connects` and `gaps` apart from `events` [{id, event, data}]. Listens for `names`, as browsers have to. */
export class SseClient {
  events = [];
  connects = [];
  gaps = [];
  errors = [];

  constructor(url, names = ['note', ...STUDENT_EVENTS]) {
    this.source = new EventSource(url);
    const keep = (list) => ({ type, lastEventId, data }) => list.push({ id: lastEventId, event: type, data: JSON.parse(data) });
    this.source.addEventListener('connected', keep(this.connects));
    this.source.addEventListener('gap', keep(this.gaps));
    for (const name of names) this.source.addEventListener(name, keep(this.events));
    this.source.addEventListener('error', ({ code, message }) => this.errors.push({ code, message }));
  }

  static async open(url, names) {
    const client = new SseClient(url, names);
    await client.connected(1);
    return client;
  }

  get data() {
    return this.events.map(({ data }) => data);
  }

  /** Waits for the connection number `times`. */
  async connected(times) {
    await until(`connection ${times}`, () => this.connects.length >= times, { state: () => this.#state() });
    return this.connects[times - 1];
  }

  async has(count) {
    await until(`${count} events`, () => this.events.length >= count, { state: () => this.#state() });
    return this.events;
  }

  close() {
    this.source.close();
  }

  #state() {
    const { connects, gaps, errors, events } = this;
    return { events: events.length, connects: connects.length, gaps, errors, readyState: this.source.readyState };
  }
}
