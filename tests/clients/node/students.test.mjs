// Students as clients of the whole product see them: written through the API, told by the notifier.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { studentApi } from './api.mjs';
import { startRelay } from './relay.mjs';
import { startTbx } from './server.mjs';
import { SocketClient } from './socket.mjs';
import { SseClient } from './sse.mjs';
import { tbxTarget } from './target.mjs';
import { until } from './wait.mjs';

// `student.cached` is left out: it says that a copy was refreshed, which may happen any number of times.
const CHANGES = 'student.created,student.updated,student.deleted';

let tbx, target, students;
before(async () => {
  tbx = await startTbx();
  target = tbxTarget(tbx);
  students = studentApi(tbx.api);
});
after(() => tbx?.end());

async function stream(t, query, through) {
  const client = await SseClient.open(target.stream(query, through));
  t.after(() => client.close());
  return client;
}

/** Creates, changes and deletes a student; gives the notifications to be expected, without what only the server knows. */
async function lifeOfAStudent() {
  const created = await students.create({ firstName: 'Grace', lastName: 'Hopper' });
  const updated = await students.change(created.id, { lastName: 'Murray' });
  await students.remove(created.id);
  return [
    { eventType: 'StudentCreated', routingKey: 'student.created', student: shape(created), userId: null },
    { eventType: 'StudentUpdated', routingKey: 'student.updated', student: shape(updated), userId: null },
    { eventType: 'StudentDeleted', routingKey: 'student.deleted', student: { ...shape(updated), version: 3 }, userId: null },
  ];
}

/** What a write decides. `updates` trails, and who deletes a student modifies it last. */
function shape({ updates, lastModified, ...student }) {
  assert.equal(typeof updates, 'number');
  assert.match(lastModified, RFC_3339);
  return student;
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function check(bodies, expected) {
  for (const { id, timestamp } of bodies) {
    assert.match(id, UUID);
    assert.match(timestamp, RFC_3339);
  }
  assert.deepEqual(bodies.map(({ id, timestamp, student, ...rest }) => ({ ...rest, student: shape(student) })), expected);
}

test('a student that is created, changed and deleted is told over SSE', async (t) => {
  const client = await stream(t, { topics: CHANGES });
  const expected = await lifeOfAStudent();
  await client.has(3);
  check(client.data, expected);
  assert.deepEqual(client.events.map(({ event }) => event), expected.map(({ eventType }) => eventType));
});

test('a student that is created, changed and deleted is told over WebSocket', async (t) => {
  const client = await SocketClient.open(target.ws({ topics: CHANGES }));
  t.after(() => client.close());
  const expected = await lifeOfAStudent();
  await client.has('notification', 3);
  check(client.data, expected);
  for (const { topic, event, data } of client.of('notification')) assert.deepEqual([topic, event], [data.routingKey, data.eventType]);
});

test('the stream of students tells of students and of nothing else', async (t) => {
  const client = await SseClient.open(`${tbx.notifier}/api/notifications/students/stream`);
  t.after(() => client.close());
  await target.publish('elsewhere', 'note', 'of no interest');
  const { id } = await students.create();
  await until('the student', () => client.data.some(({ student }) => student?.id === id), { state: () => client.data });
  assert.ok(client.data.every(({ routingKey }) => routingKey.startsWith('student.')));
});

test('a topic chooses the kind of change', async (t) => {
  const client = await stream(t, { topics: 'student.deleted' });
  const [first, second] = [await students.create(), await students.create()];
  await students.change(first.id, { firstName: 'Changed' });
  for (const { id } of [second, first]) await students.remove(id);
  await client.has(2);
  // Events of different students keep no order among each other.
  assert.deepEqual(client.data.map(({ student }) => student.id).sort(), [first.id, second.id].sort());
});

test('a client that reads a list and streams from its position misses nothing and sees nothing twice', async (t) => {
  const early = await students.create();
  const { headers, body } = await students.list('?sort=-number&limit=1');
  assert.equal(body.items[0].id, early.id);
  const late = [await students.create(), await students.create()];
  const client = await stream(t, { topics: 'student.created', lastEventId: headers.get('stream-position') });
  late.push(await students.create());
  const known = () => client.data.map(({ student }) => student.id).filter((id) => id !== early.id);
  await until('the later students', () => known().length === late.length, { state: known });
  // The position is read before the list, so the newest of the list may come once more: clients compare versions.
  assert.deepEqual(known().sort(), late.map(({ id }) => id).sort());
});

test('nobody but the system tells of students', async () => {
  for (const topic of ['student.created', 'student.anything']) await assert.rejects(target.publish(topic, 'note', {}), /422/);
  for (const event of ['connected', 'gap', 'open', 'error', 'message', 'reconnect']) {
    await assert.rejects(target.publish('elsewhere', event, {}), /422/);
  }
});

test('students written while the connection is cut again and again are all told once, in order per student', async (t) => {
  const relay = await startRelay(tbx.notifier);
  t.after(() => relay.end());
  const client = await stream(t, { topics: CHANGES }, relay.origin);
  const written = [];
  let writing = true;
  const writer = async () => {
    while (writing && written.length < 400) {
      const { id } = await students.create();
      await students.change(id, { firstName: 'Second' });
      await students.remove(id);
      written.push(id);
    }
  };
  const writers = Promise.all([writer(), writer()]);
  for (const cuts of [1, 2]) {
    await client.has(client.events.length + 15);
    relay.cut();
    await client.connected(cuts + 1);
  }
  writing = false;
  await writers;
  await client.has(written.length * 3);
  const told = new Map(written.map((id) => [id, []]));
  // Another test's student may still be told.
  for (const { student } of client.data) told.get(student.id)?.push(student.version);
  for (const [id, versions] of told) assert.deepEqual(versions, [1, 2, 3], id);
  assert.deepEqual(client.gaps, []);
});
