// The landing page: how the hosts are, who is connected, and what happens.

import { createButton } from './actions.js';
import { showConnections } from './connections.js';
import { find } from './dom.js';
import { EventList } from './event-list.js';
import { every } from './every.js';
import { showHealth } from './health.js';
import { address, pointLinks, version } from './hosts.js';
import { NotificationStream } from './notification-stream.js';

const LOOK_AGAIN_MS = 5_000;
const COME_BACK_MS = 10_000;
const MOST_EVENTS = 12;

find('version').textContent = version;
pointLinks();
createButton(find('create'), find('outcome'));
every(LOOK_AGAIN_MS, showConnections);
for (const host of ['api', 'worker', 'notifier']) {
  find(`address-${host}`).textContent = new URL(address(host, '/')).host;
  every(LOOK_AGAIN_MS, () => showHealth(host));
}
follow();

function follow() {
  const stream = new NotificationStream('/api/notifications/stream');
  const events = new EventList(find('events'), MOST_EVENTS);
  const state = find('state');
  let comeBack;
  // By then this page is one of them.
  stream.addEventListener('connected', showConnections);
  stream.addEventListener('notification', ({ detail }) => events.add(detail));
  stream.addEventListener('state', ({ detail }) => {
    if (state.textContent !== detail.state) state.textContent = detail.state;
    state.parentElement.dataset.state = detail.state;
    // The browser has given up. Nobody sits here to press a button.
    if (detail.state === 'disconnected') {
      clearTimeout(comeBack);
      comeBack = setTimeout(() => stream.open(), COME_BACK_MS);
    }
  });
  stream.open();
}
