// The page that tries WebSocket.

import { find, make } from './dom.js';
import { LineList } from './line-list.js';
import { ReconnectingNotifications } from './reconnecting.js';
import { onSubmit, patterns, showClient } from './test-page.js';

const input = find('topics');
// `?topics=demo.*` in the address of the page, so that a setting can be sent to somebody.
input.value = new URLSearchParams(location.search).get('topics') ?? input.value;

const first = patterns(input.value);
// None given is everything.
const client = new ReconnectingNotifications('/api/notifications/ws', { topics: first.length > 0 ? first : null });
const log = showClient(client);

showTopics();
showCheckpoints();
showErrors();
showPing();
showRetry();
client.addEventListener('closed', ({ detail: { code, reason } }) => log.add(`closed with ${code}${reason ? `: ${reason}` : ''}`));
client.open();

function showTopics() {
  onSubmit('topics-form', (submit) => {
    const wanted = patterns(input.value);
    if (submit.submitter === find('subscribe')) {
      if (wanted.length > 0) client.subscribe(wanted);
    } else {
      client.setTopics(wanted.length > 0 ? wanted : ['#']);
      // Nothing happens by itself after a close code that asks to stay away: the topics may have been why.
      if (find('state').textContent === 'disconnected') client.open();
    }
    show();
  });
  client.addEventListener('subscribed', () => {
    log.add(`subscribed to ${client.topics.join(', ') || 'nothing'}`);
    show();
  });
  client.addEventListener('connected', show);
  show();

  function show() {
    const topics = client.topics ?? ['#'];
    find('chips').replaceChildren(...(topics.length > 0 ? topics.map(chip) : [make('li', { class: 'quiet' }, 'none')]));
  }

  function chip(topic) {
    const remove = make('button', { type: 'button', 'aria-label': `unsubscribe from ${topic}` }, '×');
    remove.addEventListener('click', () => {
      client.unsubscribe([topic]);
      show();
    });
    return make('li', { class: 'chip', 'data-topic': topic }, make('code', {}, topic), remove);
  }
}

function showCheckpoints() {
  let checkpoints = 0;
  client.addEventListener('checkpoint', () => {
    checkpoints += 1;
    find('checkpoints').textContent = String(checkpoints);
  });
}

function showErrors() {
  const errors = new LineList(find('errors'));
  client.addEventListener('error', ({ detail }) => errors.add(make('code', {}, detail.code), ` ${detail.message}`));
}

function showPing() {
  const [button, result] = [find('ping'), find('round-trip')];
  // Answers come in the order of the questions.
  const asked = [];
  button.addEventListener('click', () => {
    if (client.ping()) asked.push(performance.now());
  });
  client.addEventListener('pong', () => {
    const begun = asked.shift();
    // The client asks by itself, too.
    if (begun !== undefined) result.textContent = `${(performance.now() - begun).toFixed(1)} ms`;
  });
  client.addEventListener('state', ({ detail }) => {
    button.disabled = detail.state !== 'connected';
    asked.length = 0;
  });
}

/** Counts down to the next attempt. */
function showRetry() {
  const retry = find('retry');
  let timer;
  client.addEventListener('state', ({ detail }) => {
    clearInterval(timer);
    retry.textContent = '';
    if (detail.retryAt === undefined) return;
    const tick = () => {
      const left = Math.max(0, detail.retryAt - Date.now());
      retry.textContent = `Next attempt in ${(left / 1_000).toFixed(1)} s`;
    };
    timer = setInterval(tick, 100);
    tick();
  });
}
