// The pages, as people see them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { studentApi } from './api.mjs';
import { DARK, PHONE, barriers, cornerBrightness, openPage, overflow, startBrowser } from './browser.mjs';
import { startTbx } from './server.mjs';
import { tbxTarget } from './target.mjs';
import { until } from './wait.mjs';

const STREAM_PAGES = ['sse-test', 'websocket-test'];
const CHANGES = 'student.created,student.updated,student.deleted';

let tbx, target, students, browser;
before(async () => {
  tbx = await startTbx();
  target = tbxTarget(tbx);
  students = studentApi(tbx.api);
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await tbx?.end();
});

const hook = (page, name) => page.locator(`[data-testid=${name}]`);
const state = (page) => hook(page, 'state').innerText().then((text) => text.trim());
const connected = (page) => until('the page is connected', async () => (await state(page)) === 'connected');

/** What the page shows of some topics, oldest first. */
async function shown(page, prefix) {
  const items = await hook(page, 'events')
    .locator('li')
    .evaluateAll((items) => items.map(({ dataset: { position, topic, event } }) => ({ position, topic, event })));
  return items.filter(({ topic }) => topic.startsWith(prefix));
}

/** All that the history tells of some topics, which is what the page must show. */
async function told(topics, start) {
  const answer = await fetch(`${tbx.notifier}/api/notifications?${new URLSearchParams({ topics, after: start, limit: '1000' })}`);
  const { items } = await answer.json();
  return items.map(({ position, topic, event }) => ({ position, topic, event }));
}

async function head() {
  const answer = await fetch(`${tbx.notifier}/api/notifications`);
  return (await answer.json()).next;
}

/** An event of the sort that the SSE page can tell the topic of: the wire has none, so it has to be in the body. */
const publish = (topic, data = {}) => target.publish(topic, 'note', { routingKey: topic, ...data });

/** An EventSource hears only the names that it listens for; the page has a field for more. */
async function listen(page) {
  const names = hook(page, 'names');
  if ((await names.count()) === 0) return;
  await names.fill('note');
  await hook(page, 'listen').click();
}

/** Sets the topics. They hold once something that is published under one of them is shown. */
async function choose(page, topics) {
  await listen(page);
  const probe = `probe.${randomUUID()}`;
  await hook(page, 'topics').fill(`${topics},${probe}`);
  await hook(page, 'apply').click();
  await until('the topics are chosen', async () => {
    await publish(probe);
    return (await shown(page, probe)).length > 0;
  });
}

for (const name of STREAM_PAGES) {
  const address = () => `${tbx.notifier}/${name}.html`;

  test(`${name}: what is written while the page is open and while it is cut off is shown once, in order`, async (t) => {
    const { page, complaints, shot } = await openPage(t, browser, address());
    await connected(page);
    await choose(page, CHANGES);
    const start = await head();
    const inOrder = async (count) => {
      const items = await until(`${count} events are shown`, async () => {
        const items = await shown(page, 'student.');
        return items.length >= count && items;
      });
      const expected = await told(CHANGES, start);
      const newestOnTop = items[0].position !== expected[0].position;
      assert.deepEqual(newestOnTop ? items.toReversed() : items, expected);
    };
    const { id } = await students.create();
    await students.change(id, { firstName: 'Changed' });
    await inOrder(2);

    const reconnects = async () => Number(await hook(page, 'reconnects').innerText());
    const before = await reconnects();
    await hook(page, 'drop').click();
    await students.remove(id);
    for (let n = 0; n < 5; n++) await students.create();
    await until('the page has come back', async () => (await reconnects()) === before + 1);
    await students.create();
    await inOrder(9);
    assert.equal(await hook(page, 'gaps').locator('li').count(), 0);
    assert.equal(await state(page), 'connected');
    await shot(name);
    assert.deepEqual(complaints, []);
  });

  test(`${name}: topics choose what is shown`, async (t) => {
    const { page, complaints } = await openPage(t, browser, address());
    await connected(page);
    await choose(page, 'browser.wanted');
    await publish('browser.unwanted');
    await publish('browser.wanted', { text: '<img src=x onerror="document.title = 1">' });
    const items = await until('the event', async () => {
      const items = await shown(page, 'browser.');
      return items.length > 0 && items;
    });
    assert.deepEqual(items.map(({ topic, event }) => [topic, event]), [['browser.wanted', 'note']]);
    assert.equal(await page.locator('[data-testid=events] img').count(), 0, 'what comes from others is text, never markup');
    assert.notEqual(await page.title(), '1');
    assert.deepEqual(complaints, []);
  });

  test(`${name}: a topic that is none is told, and a better one mends it`, async (t) => {
    const { page } = await openPage(t, browser, address());
    await connected(page);
    await hook(page, 'topics').fill('a..b');
    await hook(page, 'apply').click();
    // A WebSocket goes on as it was and is told of its error, a stream is refused.
    await until('the page says so', async () => (await state(page)) !== 'connected' || (await hook(page, 'errors').locator('li').count()) > 0);
    await choose(page, 'browser.wanted');
  });
}

for (const [name, address] of [
  ['landing', () => `${tbx.notifier}/`],
  ...STREAM_PAGES.map((name) => [name, () => `${tbx.notifier}/${name}.html`]),
]) {
  test(`${name}: fits a phone, has a dark side and says what it is to everybody`, async (t) => {
    const phone = await openPage(t, browser, address(), PHONE);
    assert.ok((await overflow(phone.page)) <= 0, 'the page scrolls sideways');
    if (name !== 'landing') {
      await choose(phone.page, 'browser.#');
      await publish(`browser.${'long.'.repeat(30)}end`, { text: 'x'.repeat(500) });
      await until('the event', async () => (await shown(phone.page, 'browser.long')).length > 0);
      assert.ok((await overflow(phone.page)) <= 0, 'the page scrolls sideways once there are events');
    }
    await phone.shot(`${name}-phone`);
    const dark = await openPage(t, browser, address(), DARK);
    const brightness = await cornerBrightness(dark.page);
    assert.ok(brightness < 80, `the dark side has brightness ${brightness} of 255`);
    await dark.shot(`${name}-dark`);
    assert.deepEqual(await barriers(dark.page), []);
    assert.deepEqual([...phone.complaints, ...dark.complaints], []);
  });
}

test('landing: leads to every other page and shows that the system lives', async (t) => {
  const { page, complaints, shot } = await openPage(t, browser, `${tbx.notifier}/`);
  const links = await page.locator('a[href]').evaluateAll((links) => links.map(({ href }) => href));
  for (const name of STREAM_PAGES) assert.ok(links.some((link) => link === `${tbx.notifier}/${name}.html`), `${name} in ${links}`);
  for (const link of new Set(links)) {
    const { hostname } = new URL(link);
    if (hostname !== '127.0.0.1') continue;
    const answer = await fetch(link);
    assert.ok(answer.status < 400, `${link}: ${answer.status}`);
    await answer.body?.cancel();
  }
  const health = page.locator('[data-testid^=health-]');
  const states = () => health.allInnerTexts().then((texts) => texts.map((text) => text.trim()));
  await until('all services pass', async () => (await states()).length === 3 && (await states()).every((text) => text === 'pass'));
  await students.create();
  await until('the event of a new student', async () => (await shown(page, 'student.created')).length === 1);
  await shot('landing');
  assert.deepEqual(complaints, []);
});

test("swagger: 'Try it out' creates a student and shows 201", async (t) => {
  const { page, complaints, shot } = await openPage(t, browser, `${tbx.api}/swagger`);
  const email = `swagger-${Date.now()}@example.org`;
  const operation = page.locator('.opblock-post').first();
  // The page may open its operations itself, and be ready to try them at once.
  const trying = operation.getByRole('button', { name: 'Execute' });
  const offer = operation.getByRole('button', { name: 'Try it out' });
  await operation.waitFor();
  if (!(await operation.locator('.opblock-body').isVisible())) await operation.locator('.opblock-summary-control').click();
  await trying.or(offer).first().waitFor();
  if (await offer.isVisible()) await offer.click();
  await operation.locator('textarea.body-param__text').fill(JSON.stringify({ firstName: 'Swagger', lastName: 'User', email }));
  await trying.click();
  const status = operation.locator('.live-responses-table .response-col_status').last();
  await status.waitFor();
  assert.match(await status.innerText(), /^201/);
  assert.ok((await students.list('?search=swagger-')).body.items.some((student) => student.email === email));
  await shot('swagger');
  assert.deepEqual(complaints, []);
});
