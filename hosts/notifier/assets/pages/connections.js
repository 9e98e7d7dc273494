// Who is connected, from `/api/notifications/connections`.

import { find, make } from './dom.js';

const MOST_PATTERNS = 5;

/** Asks the notifier, and shows what it says. False when it never will. */
export async function showConnections() {
  const answer = await fetch('/api/notifications/connections', { cache: 'no-store' }).catch(() => null);
  if (answer?.status === 404) return false;
  if (!answer?.ok) return true;
  const { total, transports, patterns } = await answer.json();
  find('connections').textContent = String(total);
  for (const [name, count] of Object.entries(transports)) {
    const cell = document.querySelector(`[data-testid="connections-${CSS.escape(name)}"]`);
    if (cell) cell.textContent = String(count);
  }
  find('patterns').replaceChildren(...patterns.slice(0, MOST_PATTERNS).map(line));
  return true;
}

function line({ pattern, connections }) {
  return make('li', {}, make('code', {}, pattern), ` ${connections}`);
}
