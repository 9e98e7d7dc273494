// A button that hangs up, stays away for a moment and comes back: what a bad network does, on demand.

const AWAY_MS = 2_000;
const TICK_MS = 100;

/** `client` has `open()` and `close(why)`. */
export function dropButton(button, client) {
  const label = button.textContent;
  let timer;

  button.addEventListener('click', () => {
    const until = Date.now() + AWAY_MS;
    client.close('dropped by the button');
    timer = setInterval(() => {
      const left = until - Date.now();
      if (left > 0) {
        button.textContent = `Back in ${(left / 1_000).toFixed(1)} s`;
      } else {
        client.open();
      }
    }, TICK_MS);
  });

  // Whoever opens the client ends the wait, be it us.
  client.addEventListener('state', ({ detail }) => {
    button.disabled = detail.state !== 'connected';
    if (detail.state === 'disconnected') return;
    clearInterval(timer);
    button.textContent = label;
  });
}
