// Writes that go on while connections come and go.
import { setTimeout as pause } from 'node:timers/promises';

/** Publishes {n: 0}, {n: 1}, … one after the other, at most `ahead` in front of `seen()`, until it is stopped. */
export function publishing(target, topic, seen, ahead = 150) {
  let count = 0;
  let stopped = false;
  const run = async () => {
    while (!stopped) {
      if (count - seen() >= ahead) await pause(2);
      else await target.publish(topic, 'note', { n: count++ });
    }
  };
  const done = run();
  return {
    /** Ends after the write that is under way; gives all that was published. */
    async stop() {
      stopped = true;
      await done;
      return numbers(count);
    },
  };
}

/** {n: 0} … {n: count - 1} */
export const numbers = (count) => Array.from({ length: count }, (_, n) => ({ n }));
