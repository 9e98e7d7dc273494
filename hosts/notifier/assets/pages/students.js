// A student of our own invention, so that there is something to see.

import { address } from './hosts.js';
import { post } from './send.js';

const FIRST = ['Ada', 'Alan', 'Barbara', 'Donald', 'Edsger', 'Grace', 'Hedy', 'Katherine', 'Leslie', 'Margaret', 'Niklaus', 'Radia'];
const LAST = ['Hamilton', 'Hopper', 'Johnson', 'Lamarr', 'Lamport', 'Liskov', 'Lovelace', 'Perlman', 'Ritchie', 'Turing', 'Wirth'];

/** Creates one through the api and returns it. */
export function createStudent() {
  const [firstName, lastName] = [any(FIRST), any(LAST)];
  // No two students may share an address.
  const unique = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  const email = `${firstName}.${lastName}.${unique}@example.org`.toLowerCase();
  return post(address('api', '/api/students'), { firstName, lastName, email });
}

function any(list) {
  return list[Math.floor(Math.random() * list.length)];
}
