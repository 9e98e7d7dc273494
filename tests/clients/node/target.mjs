// What the fan-out tests run against: TBX itself, or any server with a stream, a WebSocket, a poll and a publish address.
//
// TBX_CLIENT_TARGET=<base url> takes such a server, with /stream, /ws, /poll and /publish unless TBX_CLIENT_STREAM, TBX_CLIENT_WS, TBX_CLIENT_POLL and
// TBX_CLIENT_PUBLISH say otherwise. Without it TBX is started.
import { randomUUID } from 'node:crypto';
import { startTbx } from './server.mjs';

export async function startTarget(settings) {
  const { env } = process;
  if (env.TBX_CLIENT_TARGET) {
    return target(env.TBX_CLIENT_TARGET, {
      stream: env.TBX_CLIENT_STREAM ?? '/stream',
      ws: env.TBX_CLIENT_WS ?? '/ws',
      poll: env.TBX_CLIENT_POLL ?? '/poll',
      publish: env.TBX_CLIENT_PUBLISH ?? '/publish',
    });
  }
  // Checkpoints come with the keep-alive: nobody wants to wait 15 seconds for one.
  const tbx = await startTbx({ TBX_KEEP_ALIVE: '1s', ...settings });
  return tbxTarget(tbx);
}

/** TBX's own notifier as a target. */
export function tbxTarget(tbx) {
  const root = '/api/notifications';
  const paths = { stream: `${root}/stream`, ws: `${root}/ws`, poll: root, publish: root };
  return { ...target(tbx.notifier, paths), end: () => tbx.end() };
}

function target(origin, paths) {
  const url = (path, query, through = origin) => {
    const url = new URL(path, through);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  };
  return {
    origin,
    /** Addresses; `through` is the origin of a relay. */
    stream: (query = {}, through) => url(paths.stream, query, through),
    ws: (query = {}, through) => {
      const address = url(paths.ws, query, through);
      address.protocol = 'ws:';
      return address;
    },
    async publish(topic, event, data) {
      const body = JSON.stringify({ topic, event, data });
      const answer = await fetch(url(paths.publish, {}), { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      if (answer.status !== 202) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    },
    async end() {},
  };
}

/** A topic that no other test uses, since all tests of a file share a server. */
export const freshTopic = () => `test.${randomUUID()}`;
