// The document of the API, as other people's tools take it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { remember } from './processes.mjs';
import { startTbx } from './server.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const modules = realpathSync(here('../node_modules'));
const schemathesis = join(modules, '../../venv/bin/schemathesis');
const tool = (name) => join(modules, '.bin', name);

let tbx, work, document;
before(async () => {
  work = mkdtempSync(join(tmpdir(), 'tbx-openapi-'));
  tbx = await startTbx();
  const text = await (await fetch(`${tbx.api}/openapi.json`)).text();
  document = JSON.parse(text);
  writeFileSync(join(work, 'openapi.json'), text);
});
after(async () => {
  await tbx?.end();
  rmSync(work, { recursive: true, force: true });
});

/** Runs a program in the working folder; gives what it said, or fails with it. */
async function run(program, ...args) {
  // None of these tools may call home.
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1', COLUMNS: '150' };
  Object.assign(env, { SCHEMATHESIS_HOOKS: here('../openapi/hooks.py'), PYTHONDONTWRITEBYTECODE: '1' });
  const child = spawn(program, args, { cwd: work, env, stdio: ['ignore', 'pipe', 'pipe'] });
  remember(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  assert.equal(code, 0, `${program} ${args.join(' ')}\n${said}`);
  return said;
}

test('redocly finds nothing to complain of', async () => {
  const said = await run(tool('redocly'), 'lint', 'openapi.json', '--config', here('../openapi/redocly.yaml'), '--format=stylish');
  assert.doesNotMatch(said, /warning/, said);
});

test('spectral finds nothing to complain of', async () => {
  await run(tool('spectral'), 'lint', 'openapi.json', '--ruleset', here('../openapi/spectral.yaml'), '--fail-severity=hint');
});

test('a TypeScript client that is generated from the document compiles strictly and works', async () => {
  await run(tool('openapi-typescript'), 'openapi.json', '-o', 'schema.d.ts');
  for (const file of ['client.ts', 'tsconfig.json']) copyFileSync(here(`../openapi/${file}`), join(work, file));
  symlinkSync(modules, join(work, 'node_modules'));
  writeFileSync(join(work, 'package.json'), '{"type":"module"}');
  await run(tool('tsc'), '-p', '.');
  const base = new URL(document.servers[0].url, tbx.api).href.replace(/\/$/, '');
  assert.match(await run(process.execPath, 'out/client.js', base), /deleted a student/);
});

test('schemathesis finds nothing in a thousand cases and more', async (t) => {
  const said = await run(
    schemathesis,
    ...['--config-file', here('../openapi/schemathesis.toml'), 'run', `${tbx.api}/openapi.json`],
    ...['--phases=examples,coverage,fuzzing,stateful', '--checks=all', '--max-examples=150', '--seed=20260131', '--continue-on-failure'],
    // Each finding with its values, but no essays.
    ...['--output-truncate=true', '--request-timeout=30'],
    // How fast the machine makes up values says nothing about the document.
    '--suppress-health-check=too_slow',
  );
  const [, cases] = /(\d+) generated/.exec(said) ?? [];
  t.diagnostic(`${cases} cases`);
  assert.ok(Number(cases) >= 1000, `${cases} cases\n${said}`);
});
