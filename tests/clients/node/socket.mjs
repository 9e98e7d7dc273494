// The npm client `ws`, with everything it was told kept for looking at.
import WebSocket from 'ws';
import { until } from './wait.mjs';

export class SocketClient {
  messages = [];
  /** `{code, reason}` once closed. */
  closed = undefined;

  constructor(url) {
    this.socket = new WebSocket(url);
    this.socket.on('message', (data, isBinary) => this.messages.push(isBinary ? { binary: data } : JSON.parse(data)));
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    // What follows an error is a close: the tests look at that.
    this.socket.on('error', (error) => (this.error = error));
  }

  static async open(url) {
    const client = new SocketClient(url);
    await client.has('connected');
    return client;
  }

  of(type) {
    return this.messages.filter((message) => message.type === type);
  }

  get data() {
    return this.of('notification').map(({ data }) => data);
  }

  send(message) {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  /** Waits for `count` messages of a type and gives the last of them. */
  async has(type, count = 1) {
    await until(`${count} × ${type}`, () => this.of(type).length >= count || this.#mustBeOpen(), { state: () => this.#state() });
    return this.of(type)[count - 1];
  }

  async hasClosed() {
    await until('the close', () => this.closed, { state: () => this.#state() });
    return this.closed;
  }

  /** When the answer has come, the server has read what was sent before. */
  async ping() {
    const before = this.of('pong').length;
    this.send({ type: 'ping' });
    await this.has('pong', before + 1);
  }

  close() {
    this.socket.terminate();
  }

  #mustBeOpen() {
    if (this.closed) throw new Error(`the connection was closed: ${JSON.stringify(this.#state())}`);
    return false;
  }

  #state() {
    return { messages: this.messages.length, last: this.messages.slice(-3), closed: this.closed, error: this.error?.message };
  }
}
