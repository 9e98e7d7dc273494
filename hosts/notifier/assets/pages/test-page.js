// What both test pages have: a client with its state, its events, its gaps, and buttons to try it with.

import { createButton, publishForm } from './actions.js';
import { find, position as shownPosition } from './dom.js';
import { dropButton } from './drop.js';
import { EventList } from './event-list.js';
import { pointLinks } from './hosts.js';
import { LineList } from './line-list.js';
import { ResumeNote } from './resume-note.js';

/** How many events are kept on the page. */
const MOST_EVENTS = 200;

/**
 * Shows `client`, which dispatches `state`, `connected`, `notification` and `gap`. Gives back the log, for what only one of the pages knows.
 * `beforePublishing` is told the name of an event that the page is about to publish.
 */
export function showClient(client, { beforePublishing } = {}) {
  const log = new LineList(find('log'));
  showState(client, log);
  showEvents(client);
  showGaps(client);
  showReconnects(client, log);
  dropButton(find('drop'), client);
  find('again').addEventListener('click', () => client.open());
  publishForm(find('publish'), find('outcome'), beforePublishing);
  createButton(find('create'), find('outcome'));
  pointLinks();
  return log;
}

/** The patterns in a text, with commas or blanks between them. */
export function patterns(text) {
  return [...new Set(text.split(/[\s,]+/).filter((pattern) => pattern !== ''))];
}

/** A form whose fields are handed over instead of being sent. */
export function onSubmit(name, handle) {
  find(name).addEventListener('submit', (submit) => {
    submit.preventDefault();
    handle(submit);
  });
}

function showState(client, log) {
  const [state, why, again] = [find('state'), find('why'), find('again')];
  client.addEventListener('state', ({ detail }) => {
    // Spoken by screen readers when it changes, and only then.
    if (state.textContent !== detail.state) state.textContent = detail.state;
    state.parentElement.dataset.state = detail.state;
    why.textContent = detail.why;
    again.disabled = detail.state !== 'disconnected';
    log.add(detail.why ? `${detail.state}: ${detail.why}` : detail.state);
  });
}

function showEvents(client) {
  const [list, note, duplicates] = [find('events'), find('kept'), find('duplicates')];
  const events = new EventList(list, MOST_EVENTS, () => {
    const kept = events.shown < events.received - cleared ? `the newest ${events.shown} of ` : '';
    note.textContent = `${kept}${events.received - cleared} received`;
    duplicates.textContent = String(events.duplicates);
    duplicates.classList.toggle('bad', events.duplicates > 0);
  });
  let cleared = 0;
  client.addEventListener('notification', ({ detail }) => events.add(detail));
  find('clear').addEventListener('click', () => {
    events.clear();
    cleared = events.received;
    note.textContent = '0 received';
  });
}

function showGaps(client) {
  const gaps = new LineList(find('gaps'));
  client.addEventListener('gap', ({ detail: { reason, requested, oldest, newest } }) => {
    const place = (text) => (text === null ? '–' : shownPosition(text));
    gaps.add(`${reason}: asked for `, place(requested), ', kept is ', place(oldest), ' to ', place(newest));
  });
}

function showReconnects(client, log) {
  const [count, place] = [find('reconnects'), find('position')];
  const note = new ResumeNote(find('resumed'));
  let reconnects = 0;
  client.addEventListener('connected', ({ detail }) => {
    log.add('stands after ', shownPosition(detail.position));
    if (!detail.isReconnect) return;
    reconnects += 1;
    count.textContent = String(reconnects);
    note.begin(detail.position);
  });
  client.addEventListener('notification', ({ detail }) => {
    // WebSocket tells what is from before this connection, Server-Sent Events does not.
    if (detail.replay !== false) note.event();
  });
  client.addEventListener('gap', () => note.gap());
  for (const type of ['connected', 'notification', 'gap', 'subscribed', 'checkpoint']) {
    client.addEventListener(type, ({ detail }) => {
      if (detail.position === undefined) return;
      place.textContent = detail.position;
    });
  }
}
