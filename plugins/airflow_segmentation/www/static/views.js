// Fetches views by their address. Those that may be asked for next are fetched ahead, one by one, while nobody waits.
// A view is kept as a page that was read already: its title, its main part, and the source of each live part by id.
const views = (() => {
  "use strict";
  const ROOM = 24;
  const kept = new Map(); // of views that differ in k alone: the page by address, the one used last at the end
  let alike = null;
  let ahead = null; // the request under way for a view that nobody has asked for
  let turn = 0;

  function withoutK(address) {
    const url = new URL(address, location.href);
    url.searchParams.delete("k");
    return url.href;
  }

  function keep(address, page) {
    if (withoutK(address) !== alike) drop(withoutK(address));
    kept.delete(address);
    kept.set(address, page);
    if (kept.size > ROOM) kept.delete(kept.keys().next().value);
  }

  /** Forget every view: something else than k has changed. */
  function drop(others = null) {
    alike = others;
    kept.clear();
    turn += 1;
    ahead?.control.abort();
  }

  /** Return a view that is here; undefined of any other. */
  function at(address) {
    const page = kept.get(address);
    if (page) keep(address, page);
    return page;
  }

  async function ask(address, signal) {
    const response = await fetch(address, { signal });
    const page = read(await response.text());
    if (response.ok) keep(address, page);
    return page;
  }

  function read(text) {
    const { title, body } = new DOMParser().parseFromString(text, "text/html");
    const main = body.querySelector("main");
    return { title, main, sources: main && sourcesIn(main) };
  }

  /** Return each live part as the server sent it, by its id. */
  function sourcesIn(root) {
    return new Map([...root.querySelectorAll("[data-live]")].map((part) => [part.id, part.outerHTML]));
  }

  /** Ask the server for a view; what is fetched ahead is given up for it, unless it is this very one. */
  async function get(address) {
    turn += 1;
    if (ahead?.address === address) {
      await ahead.done;
      if (kept.has(address)) return at(address);
    }
    ahead?.control.abort();
    return ask(address);
  }

  /** Fetch views that differ in k alone and may be asked for next, unless they are here. */
  async function prepare(addresses) {
    if (addresses.length && withoutK(addresses[0]) !== alike) drop(withoutK(addresses[0]));
    const mine = (turn += 1);
    for (const address of addresses) {
      if (at(address) !== undefined) continue;
      await ahead?.done;
      if (mine !== turn || document.hidden) return;
      const control = new AbortController();
      const done = ask(address, control.signal).then(() => true, () => false);
      ahead = { address, control, done };
      const came = await done;
      ahead = null;
      if (!came) return;
    }
  }

  return { at, get, drop, prepare, sourcesIn };
})();
