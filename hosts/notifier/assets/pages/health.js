// How one host is, from its `/health`.

import { find, make } from './dom.js';
import { address } from './hosts.js';

const TIMEOUT_MS = 4_000;

/** Asks the host, and shows what it says. */
export async function showHealth(host) {
  const { status, checks } = await ask(host);
  const badge = find(`health-${host}`);
  // Spoken by screen readers when it changes, and only then.
  if (badge.textContent !== status) badge.textContent = status;
  badge.dataset.status = status;
  find(`checks-${host}`).replaceChildren(...Object.entries(checks).map(line));
}

/** A host that is not well answers 503 with the same document. */
async function ask(host) {
  try {
    const answer = await fetch(address(host, '/health'), { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    return await answer.json();
  } catch {
    return { status: 'unreachable', checks: {} };
  }
}

function line([name, { status, detail }]) {
  const badge = make('span', { class: 'status', 'data-status': status }, status);
  return detail ? make('li', { class: 'long' }, badge, ` ${name}: ${detail}`) : make('li', {}, badge, ` ${name}`);
}
