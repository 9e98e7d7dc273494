// The student API, as far as tests of clients need it.
import { randomUUID } from 'node:crypto';

export function studentApi(origin) {
  const call = async (method, path, body, expected) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await fetch(`${origin}/api/students${path}`, { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (answer.status !== expected) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return { headers: answer.headers, body: text && JSON.parse(text) };
  };
  return {
    create: async (values = {}) => {
      const student = { firstName: 'Ada', lastName: 'Lovelace', email: `${randomUUID()}@example.org`, ...values };
      return (await call('POST', '', student, 201)).body;
    },
    change: async (id, values) => (await call('PATCH', `/${id}`, values, 200)).body,
    remove: (id) => call('DELETE', `/${id}`, undefined, 204),
    list: (query = '') => call('GET', query, undefined, 200),
  };
}
