// Nothing that a test starts may outlive it, even when the test is killed.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const running = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// The runner ends a file that takes too long with SIGTERM: leave by the door above.
process.on('SIGTERM', () => process.exit(143));

/** Ends the child with this process, and leaves its id to `run`, in case this process is killed itself. */
export function remember(child) {
  running.add(child);
  const note = process.env.TBX_CLIENTS_PIDS && join(process.env.TBX_CLIENTS_PIDS, String(child.pid));
  if (note) writeFileSync(note, '');
  child.once('exit', () => {
    running.delete(child);
    if (note) rmSync(note, { force: true });
  });
}
