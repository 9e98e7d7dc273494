// Buttons and forms that send something and say what came of it.

import { make } from './dom.js';
import { post } from './send.js';
import { createStudent } from './students.js';

/** A button that creates a student; `outcome` is an element for what came of it. */
export function createButton(button, outcome) {
  button.addEventListener('click', () =>
    attempt(outcome, async () => {
      const { number, firstName, lastName } = await createStudent();
      return `Created student ${number}, ${firstName} ${lastName}.`;
    }),
  );
}

/** A form that publishes a notification; `before` is told its event name. */
export function publishForm(form, outcome, before = () => {}) {
  // The policy of our pages forbids forms to go anywhere, so nothing is left to do but this.
  form.addEventListener('submit', (submit) => {
    submit.preventDefault();
    attempt(outcome, async () => {
      const { topic, event, data } = Object.fromEntries(new FormData(form));
      before(event);
      const { id } = await post('/api/notifications', { topic, event, data: parse(data) });
      return `Published as ${id}.`;
    });
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Data is no JSON: ${error.message}`);
  }
}

async function attempt(outcome, action) {
  try {
    say(outcome, 'done', await action());
  } catch (error) {
    say(outcome, 'failed', error.message);
  }
}

function say(outcome, how, text) {
  outcome.replaceChildren(make('span', { class: how }, text));
}
