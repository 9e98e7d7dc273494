// Building and finding elements. Text is only ever set as text: what comes from a server or from other people can never become markup.

/** The element with this `data-testid`: pages and tests use the same names. */
export function find(name) {
  const element = document.querySelector(`[data-testid="${name}"]`);
  if (!element) throw new Error(`this page has no element ${name}`);
  return element;
}

/** `make('li', { class: 'event', 'data-topic': topic }, 'text', child)` */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** A moment as `<time>`, in the reader's time zone. */
export function moment(date = new Date()) {
  return make('time', { datetime: date.toISOString() }, clock.format(date));
}

/** The end of a position, which is what changes. Positions are opaque: this is for eyes only, the whole is in the title. */
export function position(text) {
  const shown = text.length > 12 ? `…${text.slice(-8)}` : text;
  return make('code', { title: text }, shown);
}
