// WebSocket as the npm client `ws` sees it. Needs only a WebSocket and a publish address: see target.mjs.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { numbers, publishing } from './publisher.mjs';
import { startRelay } from './relay.mjs';
import { SocketClient } from './socket.mjs';
import { freshTopic, startTarget } from './target.mjs';

let target;
before(async () => (target = await startTarget()));
after(() => target?.end());

async function open(t, query, through) {
  const client = await SocketClient.open(target.ws(query, through));
  t.after(() => client.close());
  return client;
}

const position = /^[\x21-\x7e]{1,64}$/;

test('the first message says who the client is and where it starts, and no subprotocol is chosen', async (t) => {
  const client = await open(t, {});
  const connected = client.messages[0];
  assert.equal(connected.type, 'connected');
  assert.equal(typeof connected.clientId, 'string');
  assert.match(connected.position, position);
  assert.equal(client.socket.protocol, '');
});

test('a notification arrives as it was published, with its position', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: topic });
  const bodies = [{ text: 'zwei\nZeilen "Ünïcödé" 🦀 \u2028', deep: [{ a: [1.5, true, null] }] }, 'text', 7, null, [], 'x'.repeat(200_000)];
  for (const body of bodies) await target.publish(topic, 'note', body);
  await client.has('notification', bodies.length);
  assert.deepEqual(client.data, bodies);
  for (const { position: at, data, ...rest } of client.of('notification')) {
    assert.match(at, position);
    assert.deepEqual(rest, { type: 'notification', topic, event: 'note' }, 'what is live is not marked as replayed');
  }
});

test('only topics that match arrive, and once however many patterns match', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: `${topic}.*.red,${topic}.a.#,${topic}.end` });
  for (const end of ['a.red', 'b.blue', 'a.b.red', 'end']) await target.publish(`${topic}.${end}`, 'note', end);
  await client.has('notification', 3);
  assert.deepEqual(client.data, ['a.red', 'a.b.red', 'end']);
});

test('a client subscribes to more topics and takes some back', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: `${topic}.first` });
  client.send({ type: 'subscribe', topics: [`${topic}.second`, `${topic}.third.#`] });
  const subscribed = await client.has('subscribed');
  for (const asked of [`${topic}.second`, `${topic}.third.#`]) assert.ok(subscribed.topics.includes(asked));
  assert.match(subscribed.position, position);
  for (const end of ['first', 'second', 'third.a', 'fourth']) await target.publish(`${topic}.${end}`, 'note', end);
  await client.has('notification', 3);
  assert.deepEqual(client.data, ['first', 'second', 'third.a']);

  client.send({ type: 'unsubscribe', topics: [`${topic}.second`] });
  await client.ping();
  await target.publish(`${topic}.second`, 'note', 'unwanted');
  await target.publish(`${topic}.first`, 'note', 'last');
  await client.has('notification', 4);
  assert.deepEqual(client.data, ['first', 'second', 'third.a', 'last']);
});

test('a subscription may begin in the past', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: `${topic}.other` });
  const { position: start } = client.messages[0];
  const witness = await open(t, { topics: topic });
  for (const body of numbers(3)) await target.publish(topic, 'note', body);
  // Past is what was delivered; what was only published may still be news.
  await witness.has('notification', 3);
  client.send({ type: 'subscribe', topics: [topic], after: start });
  await client.has('subscribed');
  await target.publish(topic, 'note', { n: 3 });
  await client.has('notification', 4);
  assert.deepEqual(client.data, numbers(4));
  assert.deepEqual(client.of('notification').slice(0, 3).map(({ replay }) => replay), [true, true, true]);
});

test('a connection that says where it was gets what it missed, marked as replayed, and then what is new', async (t) => {
  const topic = freshTopic();
  const first = await open(t, { topics: topic });
  for (const body of numbers(5)) await target.publish(topic, 'note', body);
  const { position: seen } = await first.has('notification', 2);
  await first.has('notification', 5);
  const second = await open(t, { topics: topic, after: seen });
  assert.equal(second.messages[0].position, seen);
  await second.has('notification', 3);
  await target.publish(topic, 'note', { n: 5 });
  await second.has('notification', 4);
  assert.deepEqual(second.data, numbers(6).slice(2));
  assert.deepEqual(second.of('notification').map(({ replay = false }) => replay), [true, true, true, false]);
});

test('a connection that is cut goes on where it stopped, with each event once and in order while writes go on', async (t) => {
  const topic = freshTopic();
  const relay = await startRelay(target.origin);
  t.after(() => relay.end());
  const seen = [];
  let client = await open(t, { topics: topic }, relay.origin);
  const writes = publishing(target, topic, () => seen.length + client.data.length);
  for (let cuts = 0; cuts < 3; cuts++) {
    await client.has('notification', 40);
    relay.cut();
    assert.equal((await client.hasClosed()).code, 1006);
    seen.push(...client.of('notification'));
    client = await open(t, { topics: topic, after: seen.at(-1).position }, relay.origin);
  }
  const written = await writes.stop();
  await client.has('notification', written.length - seen.length);
  seen.push(...client.of('notification'));
  assert.deepEqual(seen.map(({ data }) => data), written);
  assert.deepEqual(client.of('gap'), []);
});

test('a garbage position is told as a gap, and the connection goes on from the head', async (t) => {
  const topic = freshTopic();
  await target.publish(topic, 'note', 'before');
  const client = await open(t, { topics: topic, after: 'garbage' });
  const gap = await client.has('gap');
  assert.equal(gap.reason, 'unknown');
  assert.equal(gap.requested, 'garbage');
  assert.equal(typeof gap.oldest, 'string');
  assert.equal(typeof gap.newest, 'string');
  await target.publish(topic, 'note', 'after');
  await client.has('notification');
  assert.deepEqual(client.data, ['after']);
});

test('a quiet connection is told a checkpoint that moves on with what others publish', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: topic });
  const { position: start } = client.messages[0];
  await target.publish(freshTopic(), 'note', 'for others');
  let count = 1;
  let checkpoint;
  do checkpoint = await client.has('checkpoint', count++);
  while (checkpoint.position === start);
  const resumed = await open(t, { topics: topic, after: checkpoint.position });
  await resumed.ping();
  assert.deepEqual(resumed.of('gap'), []);
});

test('a ping is answered, in JSON as in the protocol', async (t) => {
  const client = await open(t, {});
  await client.ping();
  assert.deepEqual(client.of('pong'), [{ type: 'pong' }]);
  client.socket.ping('are you there?');
  const [payload] = await once(client.socket, 'pong');
  assert.equal(payload.toString(), 'are you there?');
});

test('messages that cannot be understood are answered with an error, and the connection goes on', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: topic });
  const unreadable = ['{', '', '[]', '"ping"', '{}', '{"type":"sing"}', '{"type":"subscribe"}', '{"type":"subscribe","topics":"a..b"}', '{"type":7}'];
  for (const message of unreadable) {
    const before = client.of('error').length;
    client.send(message);
    const error = await client.has('error', before + 1);
    assert.equal(typeof error.code, 'string', message);
    assert.equal(typeof error.message, 'string', message);
  }
  await target.publish(topic, 'note', 'still here');
  await client.has('notification');
  assert.equal(client.of('error').length, unreadable.length);
});

test('a pattern that is none in the query lets the upgrade succeed and closes with 4400', async (t) => {
  const client = new SocketClient(target.ws({ topics: 'a..b' }));
  t.after(() => client.close());
  let opened = false;
  client.socket.on('open', () => (opened = true));
  const { code, reason } = await client.hasClosed();
  assert.equal(code, 4400);
  assert.ok(reason.length > 0, 'the reason is said');
  assert.ok(opened, 'a refused upgrade would tell a browser nothing');
});

test('a message of bytes closes with 1003', async (t) => {
  const client = await open(t, {});
  client.send(Buffer.from([1, 2, 3]));
  assert.equal((await client.hasClosed()).code, 1003);
});

test('a message beyond all measure closes with 1009', async (t) => {
  const client = await open(t, {});
  client.send(JSON.stringify({ type: 'ping', padding: 'x'.repeat(1 << 20) }));
  assert.equal((await client.hasClosed()).code, 1009);
});

test('a client that closes is answered with its own code', async (t) => {
  const client = await open(t, {});
  client.socket.close(1000, 'done');
  assert.equal((await client.hasClosed()).code, 1000);
});

test('a plain GET is refused with what to do instead', async () => {
  const address = target.ws({});
  address.protocol = 'http:';
  const answer = await fetch(address);
  assert.equal(answer.status, 426);
  assert.match(answer.headers.get('upgrade') ?? '', /websocket/i);
});
