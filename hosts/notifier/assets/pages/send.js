// Sending JSON, and saying in words what came of it.

/** Posts a value as JSON. Throws an error with a message for people when it was not taken. */
export async function post(url, value) {
  let answer;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(value),
    });
  } catch {
    // A browser does not tell pages more than that.
    throw new Error(`${new URL(url, location).origin} cannot be reached`);
  }
  if (!answer.ok) throw new Error(await problem(answer));
  return answer.json();
}

/** What an answer says is wrong: problem documents (RFC 9457) name all faults at once. */
export async function problem(answer) {
  const document = await answer.json().catch(() => ({}));
  const faults = (document.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
  const what = faults.length > 0 ? faults.join('; ') : document.detail ?? document.title ?? '';
  return `${answer.status}: ${what}`;
}
