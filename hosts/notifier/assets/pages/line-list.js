// A short list of lines, newest first: gaps, errors, what the connection did.

import { make, moment } from './dom.js';

const MOST = 50;

export class LineList {
  #list;

  constructor(list) {
    this.#list = list;
  }

  /** Adds a line of texts and elements, with the time in front. */
  add(...parts) {
    this.#list.prepend(make('li', {}, moment(), ' ', make('span', {}, ...parts)));
    if (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
  }
}
