// Doing something now and then.

/** Calls `look` now, and again so long after it was done; a page that nobody sees does not look. Ends when `look` gives back false. */
export async function every(milliseconds, look) {
  for (;;) {
    if (!document.hidden && (await look()) === false) return;
    await new Promise((done) => setTimeout(done, milliseconds));
  }
}
