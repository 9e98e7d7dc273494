// Says what coming back brought: how many events were missed meanwhile, and whether all of them are here.

import { position as shownPosition } from './dom.js';

/**
 * Neither protocol says where catching up ends, because it does not matter to a client: events go on in order. So this takes it to be over when
 * nothing came for so long.
 */
const QUIET_MS = 300;

export class ResumeNote {
  #element;
  #after = null;
  #events = 0;
  #gaps = 0;
  #timer;

  constructor(element) {
    this.#element = element;
  }

  /** A connection was resumed after this position. */
  begin(after) {
    this.#after = after;
    this.#events = 0;
    this.#gaps = 0;
    this.#wait();
  }

  event() {
    if (this.#after === null) return;
    this.#events += 1;
    this.#wait();
  }

  gap() {
    this.#gaps += 1;
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), QUIET_MS);
  }

  #end() {
    const events = `${this.#events} ${this.#events === 1 ? 'event' : 'events'} missed meanwhile`;
    // The server says when it does not have everything any more. When it says nothing, nothing is missing.
    const all = this.#gaps === 0 ? 'all here' : 'and some are lost: see the gaps';
    this.#element.replaceChildren('resumed after ', shownPosition(this.#after), `: ${events}, ${all}`);
    this.#after = null;
  }
}
