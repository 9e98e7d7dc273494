// SSE as the npm client `eventsource` sees it. Needs only a stream and a publish address: see target.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { numbers, publishing } from './publisher.mjs';
import { startRelay } from './relay.mjs';
import { SseClient } from './sse.mjs';
import { freshTopic, startTarget } from './target.mjs';
import { until } from './wait.mjs';

let target;
before(async () => (target = await startTarget()));
after(() => target?.end());

async function open(t, query, through) {
  const client = await SseClient.open(target.stream(query, through));
  t.after(() => client.close());
  return client;
}

test('the first event says who the client is and where its stream starts', async (t) => {
  const client = await open(t, {});
  const [{ id, data }] = client.connects;
  assert.equal(typeof data.clientId, 'string');
  assert.equal(id, data.position);
  assert.match(data.position, /^[\x21-\x7e]{1,64}$/);
  const other = await open(t, {});
  assert.notEqual(other.connects[0].data.clientId, data.clientId);
});

test('a notification arrives as it was published, with its position', async (t) => {
  const topic = freshTopic();
  const client = await open(t, { topics: topic });
  const bodies = [{ text: 'zwei\nZeilen\r\nund "Ünïcödé" 🦀 \u2028', deep: [{ a: [1.5, true, null] }] }, 'text', 7, null, [], 'x'.repeat(200_000)];
  for (const body of bodies) await target.publish(topic, 'note', body);
  await client.has(bodies.length);
  assert.deepEqual(client.data, bodies);
  const ids = client.events.map(({ id }) => id);
  assert.equal(new Set(ids).size, bodies.length, 'every event has a position of its own');
  assert.ok(ids.every((id) => /^[\x21-\x7e]{1,64}$/.test(id)));
});

test('an event comes under its own name', async (t) => {
  const topic = freshTopic();
  const client = await SseClient.open(target.stream({ topics: topic }), ['first', 'second']);
  t.after(() => client.close());
  await target.publish(topic, 'first', 1);
  await target.publish(topic, 'unheard', 2);
  await target.publish(topic, 'second', 3);
  await client.has(2);
  assert.deepEqual(client.events.map(({ event, data }) => [event, data]), [['first', 1], ['second', 3]]);
});

test('only topics that match arrive, and once however many patterns match', async (t) => {
  const topic = freshTopic();
  const commas = await open(t, { topics: `${topic}.*.red,${topic}.#,${topic}.a.red` });
  const narrow = await open(t, { topics: `${topic}.*.red,${topic}.end` });
  const repeated = await SseClient.open(`${target.stream({ topics: `${topic}.b.blue` })}&topics=${topic}.end`);
  t.after(() => repeated.close());
  for (const end of ['a.red', 'b.blue', 'a.b.red', 'red']) await target.publish(`${topic}.${end}`, 'note', end);
  await target.publish(`${freshTopic()}.a.red`, 'note', 'foreign');
  await target.publish(`${topic}.end`, 'note', 'end');
  const ended = (client) => until('the end', () => client.data.at(-1) === 'end', { state: () => client.data });
  for (const client of [commas, narrow, repeated]) await ended(client);
  assert.deepEqual(commas.data, ['a.red', 'b.blue', 'a.b.red', 'red', 'end']);
  assert.deepEqual(narrow.data, ['a.red', 'end']);
  assert.deepEqual(repeated.data, ['b.blue', 'end']);
});

test('a stream that is cut goes on where it stopped, with each event once and in order while writes go on', async (t) => {
  const topic = freshTopic();
  const relay = await startRelay(target.origin);
  t.after(() => relay.end());
  const client = await open(t, { topics: topic }, relay.origin);
  const writes = publishing(target, topic, () => client.events.length);
  for (const cuts of [1, 2, 3]) {
    const before = client.events.length;
    await client.has(before + 40);
    assert.ok(relay.cut() > 0);
    await client.connected(cuts + 1);
  }
  const written = await writes.stop();
  await client.has(written.length);
  assert.deepEqual(client.data, written);
  assert.deepEqual(client.gaps, []);
  const resumed = client.connects[1];
  assert.ok(client.events.some(({ id }) => id === resumed.data.position), 'a resumed stream starts after the last event seen');
});

test('a position resumes in another connection', async (t) => {
  const topic = freshTopic();
  const first = await open(t, { topics: topic });
  for (const body of numbers(5)) await target.publish(topic, 'note', body);
  const { id } = (await first.has(5))[1];
  const second = await open(t, { topics: topic, lastEventId: id });
  await target.publish(topic, 'note', { n: 5 });
  await second.has(4);
  assert.deepEqual(second.data, numbers(6).slice(2));
  assert.equal(second.connects[0].data.position, id);
});

test('a garbage position is told as a gap, and the stream goes on from the head', async (t) => {
  const topic = freshTopic();
  await target.publish(topic, 'note', 'before');
  const client = await open(t, { topics: topic, lastEventId: 'garbage' });
  await until('the gap', () => client.gaps.length === 1);
  const [{ id, data }] = client.gaps;
  assert.equal(data.reason, 'unknown');
  assert.equal(data.requested, 'garbage');
  assert.equal(typeof data.oldest, 'string');
  assert.equal(id, data.newest);
  await target.publish(topic, 'note', 'after');
  await client.has(1);
  assert.deepEqual(client.data, ['after']);
});

test('a pattern that is none ends the client for good, with the reason', async (t) => {
  const client = new SseClient(target.stream({ topics: 'a..b' }));
  t.after(() => client.close());
  await until('the error', () => client.errors.length > 0);
  assert.equal(client.errors[0].code, 400);
  assert.equal(client.source.readyState, client.source.CLOSED);
  const answer = await fetch(target.stream({ topics: 'a..b' }));
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
});

test('many clients get the same events in the same order', async (t) => {
  const topic = freshTopic();
  const clients = await Promise.all(Array.from({ length: 25 }, () => open(t, { topics: topic })));
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (const { n } of numbers(25)) await target.publish(topic, 'note', { writer, n });
  });
  await Promise.all(writers);
  for (const client of clients) await client.has(100);
  const [first, ...others] = clients.map(({ events }) => events);
  assert.equal(new Set(first.map(({ id }) => id)).size, 100);
  for (const other of others) assert.deepEqual(other, first);
});

test('a quiet stream is told positions that move on with what others publish', async (t) => {
  // The library hides an id without data: it is a checkpoint and no event.
  const topic = freshTopic();
  const abort = new AbortController();
  t.after(() => abort.abort());
  const answer = await fetch(target.stream({ topics: topic }), { signal: abort.signal });
  await target.publish(freshTopic(), 'note', 'for others');
  const checkpoint = await checkpointAfterConnected(answer.body);
  const resumed = await open(t, { topics: topic, lastEventId: checkpoint });
  assert.equal(resumed.connects[0].data.position, checkpoint);
  assert.deepEqual(resumed.gaps, []);
});

async function checkpointAfterConnected(body) {
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const [connected] = text.match(/(?<=^id: ).*/m) ?? [];
    for (const [, id] of text.matchAll(/\n\nid: (.*)\n\n/g)) if (id !== connected) return id;
  }
  throw new Error(`the stream ended without a checkpoint: ${text}`);
}
