// The page that tries Server-Sent Events.

import { find, make } from './dom.js';
import { NotificationStream } from './notification-stream.js';
import { onSubmit, patterns, showClient } from './test-page.js';

const topics = find('topics');
// `?topics=demo.*` in the address of the page, so that a setting can be sent to somebody.
topics.value = new URLSearchParams(location.search).get('topics') ?? topics.value;

const stream = new NotificationStream('/api/notifications/stream', wanted());
showClient(stream, { beforePublishing: listen });

onSubmit('topics-form', () => stream.change(wanted()));
onSubmit('names-form', () => {
  const input = find('names');
  patterns(input.value).forEach(listen);
  input.value = '';
});

showNames();
stream.open();

function wanted() {
  return patterns(topics.value).join(',');
}

function listen(name) {
  stream.listen(name);
  showNames();
}

function showNames() {
  find('listened').replaceChildren(...stream.names.map((name) => make('li', {}, make('code', {}, name))));
}
