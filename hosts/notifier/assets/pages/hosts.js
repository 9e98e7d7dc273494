// Where the sister hosts are: on the same host name as this page, at the ports that the notifier knows.

const ports = await fetch('/pages/hosts.json').then((answer) => answer.json());

export const version = ports.version;

/** The address of a path on `api`, `notifier` or `worker`. */
export function address(host, path) {
  return new URL(path, `${location.protocol}//${location.hostname}:${ports[host]}`).href;
}

/** Points every `<a data-host="api" data-path="/swagger">` at its host. */
export function pointLinks() {
  for (const link of document.querySelectorAll('a[data-host]')) {
    link.href = address(link.dataset.host, link.dataset.path);
  }
}
