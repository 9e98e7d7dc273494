// The real binary as a process: free ports, files of its own, and a log that must stay clean.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { remember } from './processes.mjs';
import { until } from './wait.mjs';

const SERVICES = ['api', 'notifier', 'worker'];

/** The binary: from the folder TBX_TEST_BINARIES, else from cargo's target folder. */
export function binary(name) {
  const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url));
  const path = join(process.env.TBX_TEST_BINARIES ?? join(target, 'debug'), name);
  if (!existsSync(path)) throw new Error(`${path} is missing: cargo build --workspace --bins`);
  return path;
}

/** Starts api, worker and notifier in one process and waits until they are ready. `end()` it. */
export async function startTbx(settings = {}) {
  const tbx = new Tbx(settings);
  await tbx.start();
  return tbx;
}

class Tbx {
  #folder = mkdtempSync(join(tmpdir(), 'tbx-clients-'));
  #settings;
  #addresses = {};
  #child;
  #log = [];

  constructor(settings) {
    this.#settings = settings;
  }

  get api() {
    return `http://${this.#addresses.api}`;
  }

  get notifier() {
    return `http://${this.#addresses.notifier}`;
  }

  /** Starts it; a second time on the same ports and files as before. */
  async start() {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TBX_'));
    const listen = SERVICES.map((service) => [`TBX_${service.toUpperCase()}_LISTEN`, this.#addresses[service] ?? '127.0.0.1:0']);
    const env = {
      ...Object.fromEntries([...inherited, ...listen]),
      TBX_DATABASE_URL: `sqlite:${this.#folder}/tbx.db`,
      TBX_HISTORY_URL: `sqlite:${this.#folder}/history.db`,
      TBX_LOG_FORMAT: 'json',
      ...this.#settings,
    };
    const listening = new Set();
    const child = spawn(binary('tbx'), [], { cwd: this.#folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    child.ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
    remember(child);
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#log.push(line);
      const entry = parsed(line);
      if (entry?.message !== 'listening') return;
      this.#addresses[entry.service] = entry.addr;
      listening.add(entry.service);
    });
    await until('the services listen', () => listening.size === SERVICES.length || this.#mustRun(), { state: () => this.log });
    for (const service of SERVICES) {
      const ready = () => fetch(`http://${this.#addresses[service]}/health/ready`).then((answer) => answer.ok, () => false);
      await until(`${service} is ready`, ready, { state: () => this.log });
    }
  }

  get log() {
    return this.#log.join('\n');
  }

  /** Tells it to stop without waiting for it. */
  signal(name) {
    this.#child.kill(name);
  }

  /** Waits until it has ended of itself, as it should after SIGTERM. */
  async stopped() {
    const code = await this.#child.ended;
    if (code !== 0) throw new Error(`tbx ended with ${code}\n${this.log}`);
  }

  async stop() {
    this.signal('SIGTERM');
    await this.stopped();
  }

  /** Stops it, removes its files and looks through its log. */
  async end() {
    try {
      if (running(this.#child)) await this.stop();
      const bad = this.#log.filter((line) => /panicked at/.test(line) || parsed(line)?.level === 'ERROR');
      if (bad.length > 0) throw new Error(`the log has errors:\n${bad.join('\n')}`);
    } finally {
      if (running(this.#child)) this.#child.kill('SIGKILL');
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  #mustRun() {
    if (!running(this.#child)) throw new Error(`tbx ended before it listened\n${this.log}`);
    return false;
  }
}

const running = (child) => child !== undefined && child.exitCode === null && child.signalCode === null;

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
