// Waiting for conditions, never for time.
import { setTimeout as pause } from 'node:timers/promises';

export const DEADLINE = 30_000;

/** Looks at `condition` until it holds and gives its value; says `what` it was and the last `state` when the deadline passes. */
export async function until(what, condition, { deadline = DEADLINE, state = () => '' } = {}) {
  const end = Date.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${deadline} ms: ${what} ${show(state())}`);
    await pause(5);
  }
}

function show(state) {
  return typeof state === 'string' ? state : JSON.stringify(state);
}
