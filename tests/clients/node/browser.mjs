// A page in Debian's Chromium, watched: whatever it complains of or asks of other hosts is kept.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, inflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { remember } from './processes.mjs';
import { DEADLINE } from './wait.mjs';

/** Where screenshots go: $TBX_TEST_ARTEFACTS, else a new folder that is told. */
const artefacts = process.env.TBX_TEST_ARTEFACTS ?? mkdtempSync(join(tmpdir(), 'tbx-artefacts-'));
mkdirSync(artefacts, { recursive: true });
console.log(`screenshots: ${artefacts}`);

export const PHONE = { viewport: { width: 375, height: 700 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DARK = { colorScheme: 'dark' };

export async function startBrowser() {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
  // Root may not use the sandbox, and containers have a tiny /dev/shm. Nothing of the browser itself may call home.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update'];
  // As a server it has a process that can be ended whatever happens here.
  const server = await chromium.launchServer({ executablePath, args, host: '127.0.0.1' });
  remember(server.process());
  const browser = await chromium.connect(server.wsEndpoint());
  return { newContext: (options) => browser.newContext(options), close: () => server.close() };
}

/** Opens a page; `complaints` is what was wrong with it so far. Closed with the test. */
export async function openPage(t, browser, url, options = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => complaints.push(`page: ${error.stack ?? error}`));
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure();
    // A page that drops its stream aborts a request, which is no failure.
    if (errorText !== 'net::ERR_ABORTED') complaints.push(`failed: ${request.url()} ${errorText}`);
  });
  page.on('response', (answer) => {
    if (answer.status() >= 400) complaints.push(`status ${answer.status()}: ${answer.url()}`);
  });
  const foreign = (address) => {
    const { protocol, hostname } = new URL(address);
    if (!['data:', 'blob:', 'about:'].includes(protocol) && hostname !== '127.0.0.1') complaints.push(`foreign: ${address}`);
  };
  page.on('request', (request) => foreign(request.url()));
  page.on('websocket', (socket) => foreign(socket.url()));
  // A stream keeps the network busy for ever, so `load` is all that can be waited for.
  await page.goto(url, { waitUntil: 'load' });
  return { page, complaints, shot: (name) => page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true }) };
}

/** How many pixels the page is wider than its window. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** How bright the lower left corner is, 0 to 255: styles would not tell what shines through a page without a background. */
export async function cornerBrightness(page) {
  const { height } = page.viewportSize();
  const png = await page.screenshot({ clip: { x: 1, y: height - 2, width: 1, height: 1 } });
  const chunk = png.indexOf('IDAT');
  const data = png.subarray(chunk + 4, chunk + 4 + png.readUInt32BE(chunk - 4));
  // The filter of the first row, then the colours of its first pixel. More chunks may follow, which are not needed.
  const [, red, green, blue] = inflateSync(data, { finishFlush: constants.Z_SYNC_FLUSH });
  return (red + green + blue) / 3;
}

/** What is not as everybody can read it: no language, no title, no label on a control, no main heading. */
export const barriers = (page) =>
  page.evaluate(() => {
    const found = [];
    if (!document.documentElement.lang) found.push('no lang');
    if (!document.title) found.push('no title');
    if (document.compatMode !== 'CSS1Compat') found.push('no doctype');
    if (document.querySelectorAll('h1').length !== 1) found.push(`${document.querySelectorAll('h1').length} h1`);
    for (const control of document.querySelectorAll('input:not([type=hidden]), select, textarea, button')) {
      const text = control.innerText || control.getAttribute('aria-label') || control.getAttribute('aria-labelledby') || control.labels?.length;
      if (!text) found.push(`no label: ${control.outerHTML}`);
    }
    return found;
  });
