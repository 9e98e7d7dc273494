// Notifications, newest first. Keeps the newest of them, and notices when one comes twice.

import { make, moment, position as shownPosition } from './dom.js';

/** A page that stays open for days must not remember every position it ever saw. */
const POSITIONS_REMEMBERED = 10_000;
const DRAW_MS = 20;

export class EventList {
  #list;
  #most;
  #onChange;
  #seen = new Set();
  #waiting = [];
  received = 0;
  duplicates = 0;

  /** Shows at most `most` in `list`; calls `onChange` after each time it was drawn. */
  constructor(list, most, onChange = () => {}) {
    this.#list = list;
    this.#most = most;
    this.#onChange = onChange;
  }

  get shown() {
    return this.#list.children.length;
  }

  /** Adds a notification `{position, topic, event, data, replay?}`; `topic` is null where the transport does not tell it. */
  add(notification) {
    this.received += 1;
    const duplicate = this.#seen.has(notification.position);
    if (duplicate) this.duplicates += 1;
    this.#remember(notification.position);
    // Drawn together: thousands may come at once while catching up, and nobody sees more than the newest. A timer and not an animation frame, because
    // frames stop in a tab that nobody looks at.
    if (this.#waiting.length === 0) setTimeout(() => this.#draw(), DRAW_MS);
    this.#waiting.push({ ...notification, duplicate, received: new Date() });
    if (this.#waiting.length > this.#most) this.#waiting.shift();
  }

  clear() {
    this.#list.replaceChildren();
    this.#waiting.length = 0;
  }

  #remember(position) {
    this.#seen.add(position);
    // A set gives back its members in the order they came in.
    if (this.#seen.size > POSITIONS_REMEMBERED) this.#seen.delete(this.#seen.values().next().value);
  }

  #draw() {
    const rows = this.#waiting.splice(0).reverse().map(row);
    this.#list.prepend(...rows);
    while (this.#list.children.length > this.#most) this.#list.lastElementChild.remove();
    this.#onChange();
  }
}

function row({ position, topic, event, data, replay, duplicate, received }) {
  const marks = [];
  if (replay) marks.push(make('span', { class: 'mark', title: 'from before this connection' }, 'replay'));
  if (duplicate) marks.push(make('span', { class: 'mark bad', title: 'was here before' }, 'duplicate'));
  const summary = make(
    'summary',
    {},
    make('span', { class: 'event-time' }, moment(received)),
    make('span', { class: 'event-name' }, event),
    make('span', { class: 'event-topic' }, topic ?? '–'),
    make('span', { class: 'event-data' }, ...marks, shortly(data)),
    make('span', { class: 'event-position' }, shownPosition(position)),
  );
  const details = make('details', {}, summary);
  // The long form is made when somebody asks for it: most are never opened.
  details.addEventListener('toggle', () => details.append(long(position, data)), { once: true });
  return make('li', { 'data-position': position, 'data-topic': topic ?? '', 'data-event': event }, details);
}

function long(position, data) {
  return make(
    'div',
    { class: 'event-long' },
    make('p', {}, 'Position ', make('code', {}, position)),
    make('pre', { tabindex: '0' }, JSON.stringify(data, null, 2)),
  );
}

/** One line for people: who it is about, or else the beginning of the JSON. */
function shortly(data) {
  const student = data?.student;
  if (student) {
    return `${student.number} ${student.firstName} ${student.lastName}, etag ${student.version}.${student.updates}`;
  }
  const text = JSON.stringify(data) ?? '';
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
