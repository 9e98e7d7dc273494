// Clients of a server that is stopped and started again on the same ports and files.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { studentApi } from './api.mjs';
import { startTbx } from './server.mjs';
import { SocketClient } from './socket.mjs';
import { SseClient } from './sse.mjs';
import { tbxTarget } from './target.mjs';

let tbx, target, students;
before(async () => {
  tbx = await startTbx();
  target = tbxTarget(tbx);
  students = studentApi(tbx.api);
});
after(() => tbx?.end());

async function create(count) {
  const created = [];
  while (created.length < count) created.push(await students.create());
  return created.map(({ id }) => id);
}

// Sorted, since events of different students keep no order among each other.
const ids = (bodies) => bodies.map(({ student }) => student.id).sort();
const all = (...parts) => parts.flat().sort();

test('a stream is told when to come back and ended in order, and goes on after the restart', async (t) => {
  const client = await SseClient.open(target.stream({ topics: 'student.created' }));
  t.after(() => client.close());
  const raw = await fetch(target.stream({ topics: 'student.created' }));
  const text = raw.text();
  const before = await create(5);
  await client.has(5);

  await tbx.stop();
  // The text comes without an error only if the body was ended properly.
  const [, retry] = /^retry: (\d+)$/m.exec(await text) ?? [];
  assert.ok(retry >= 1000 && retry <= 10_000, `retry: ${retry}`);

  await tbx.start();
  const after = await create(5);
  await client.connected(2);
  await client.has(10);
  assert.deepEqual(ids(client.data), all(before, after));
  assert.deepEqual(client.gaps, []);
});

test('what was written just before the stop and just after the start is not missed', async (t) => {
  const client = await SseClient.open(target.stream({ topics: 'student.created' }));
  t.after(() => client.close());
  const before = await create(20);
  await tbx.stop();
  await tbx.start();
  const after = await create(20);
  await client.has(40);
  assert.deepEqual(ids(client.data), all(before, after));
});

test('a stream that is asked for during the stop is told to come back, not refused', async (t) => {
  const holder = await SseClient.open(target.stream({}));
  t.after(() => holder.close());
  tbx.signal('SIGTERM');
  const late = await fetch(target.stream({})).then(
    async (answer) => ({ status: answer.status, text: await answer.text() }),
    // Once the port is closed nothing can be said any more.
    () => undefined,
  );
  if (late) {
    assert.equal(late.status, 200);
    assert.match(late.text, /^retry: \d+$/m);
  }
  await tbx.stopped();
  await tbx.start();
});

test('a WebSocket is closed with a code that says come back, and resumes after the restart', async (t) => {
  const first = await SocketClient.open(target.ws({ topics: 'student.created' }));
  t.after(() => first.close());
  await create(5);
  await first.has('notification', 5);
  const { position } = first.of('notification')[2];
  await tbx.stop();
  const { code } = await first.hasClosed();
  assert.ok([1001, 1012].includes(code), `close code ${code}`);

  await tbx.start();
  const second = await SocketClient.open(target.ws({ topics: 'student.created', after: position }));
  t.after(() => second.close());
  const after = await create(5);
  await second.has('notification', 7);
  assert.deepEqual(ids(second.data), all(ids(first.data.slice(3)), after));
  assert.deepEqual(second.of('gap'), []);
});
