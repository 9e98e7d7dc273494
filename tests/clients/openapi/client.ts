// A program of somebody else, typed by the document alone: creates, gets, changes, lists and deletes a student.
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

type Student = components['schemas']['Student'];

declare const process: { argv: string[] };
const api = createClient<paths>({ baseUrl: process.argv[2] ?? '' });

/** The data of an answer, which must be there. */
function must<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

function equal<T>(actual: T, expected: T): void {
  if (actual !== expected) throw new Error(`${String(actual)} is not ${String(expected)}`);
}

const email = `typescript-${Date.now()}@example.org`;
const created: Student = must(await api.POST('/students', { body: { firstName: 'Type', lastName: 'Script', email } }));
equal(created.email, email);

const path = { id: created.id };
const read = await api.GET('/students/{id}', { params: { path } });
equal(must(read).number, created.number);
equal(read.response.headers.get('etag')?.startsWith('"1.'), true);

const changed = must(await api.PATCH('/students/{id}', { params: { path }, body: { lastName: 'Checked' } }));
equal(changed.lastName, 'Checked');
equal(changed.version, 2);

const replaced = must(
  await api.PUT('/students/{id}', { params: { path, header: { 'If-Match': '"2.0"' } }, body: { firstName: 'Type', lastName: 'Replaced', email } }),
);
equal(replaced.version, 3);

const page = must(await api.GET('/students', { params: { query: { search: 'typescript-', limit: 10 } } }));
equal(page.items.some(({ id }) => id === created.id), true);
const next: string | null = page.next;
equal(next, null);

// What is wrong is typed as well: a problem with a code.
const twice = await api.POST('/students', { body: { firstName: 'Type', lastName: 'Script', email } });
equal(twice.response.status, 409);
equal(twice.error?.code, 'email-taken');

equal((await api.DELETE('/students/{id}', { params: { path } })).response.status, 204);
equal((await api.GET('/students/{id}', { params: { path } })).response.status, 404);
console.log('created, read, changed, replaced, listed and deleted a student');
