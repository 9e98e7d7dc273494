// A TCP relay that kills connections: the network between a client and the server.
import { connect, createServer } from 'node:net';
import { once } from 'node:events';

export async function startRelay(origin) {
  const { hostname, port } = new URL(origin);
  const pairs = new Set();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const pair = [client, upstream];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** Kills every connection the hard way, with a reset on both sides; gives how many there were. */
    cut() {
      const cut = pairs.size;
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
      return cut;
    },
    async end() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
