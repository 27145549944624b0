// Shows another view of the page without a reload. A view is its address: whatever a control changes, the next view
// is asked for by its address, and the parts of it that differ are swapped in.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const main = () => document.querySelector("main");
  const live = (root) => root.querySelectorAll("[data-live]");
  const sources = new WeakMap(); // of each live part, as the server sent it: drawing changes it
  let wanted = null;
  let busy = false;
  let timer = 0;

  /** Show the view at an address: one request at a time, and of those wanted meanwhile only the last. */
  async function show(address) {
    wanted = address;
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    while (wanted !== null) {
      const next = wanted;
      wanted = null;
      let response, page;
      try {
        response = await fetch(next);
        page = new DOMParser().parseFromString(await response.text(), "text/html");
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1000)); // no connection: try again, unless for another
        wanted ??= next;
        continue;
      }
      if (!page.querySelector("main")) return location.reload(); // none of our pages
      if (response.ok) history.replaceState(null, "", next);
      swap(page);
    }
    busy = false;
    poll();
  }

  function swap(page) {
    const focused = document.activeElement?.id;
    const fresh = document.adoptNode(page.querySelector("main"));
    if (fresh.dataset.state === main().dataset.state) {
      live(fresh).forEach(update);
      controls(fresh);
      if (fresh.dataset.poll) main().dataset.poll = fresh.dataset.poll;
      else delete main().dataset.poll;
    } else {
      live(fresh).forEach(remember);
      main().replaceWith(fresh);
    }
    document.title = page.title;
    document.dispatchEvent(new Event("swapped"));
    if (focused && focused !== document.activeElement?.id) byId(focused)?.focus({ preventScroll: true });
  }

  function remember(part) {
    sources.set(part, part.outerHTML);
  }

  function update(part) {
    const stale = byId(part.id);
    remember(part);
    if (!stale || sources.get(stale) === sources.get(part)) return;
    if (part.role === "status") {
      stale.textContent = part.textContent; // kept in place, or it would not be read out
      sources.set(stale, sources.get(part));
      return;
    }
    const drawn = stale.querySelector(".plot");
    if (drawn) part.querySelector(".plot")?.replaceWith(drawn);
    for (const open of stale.querySelectorAll("details[open]")) part.querySelector(`#${open.id}`)?.setAttribute("open", "");
    stale.replaceWith(part);
  }

  /** Set every control but the one in use to what the fresh view says. */
  function controls(fresh) {
    for (const control of fresh.querySelectorAll("input[id], select[id]")) {
      const present = byId(control.id);
      if (!present || present === document.activeElement || present.closest("[data-live]")) continue;
      if (control.type === "checkbox") present.checked = control.checked;
      else present.value = control.value;
    }
  }

  function addressOf(form) {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    return `${form.getAttribute("action")}?${query}`;
  }

  /** Ask for the same view again while the run goes on. */
  function poll() {
    clearTimeout(timer);
    const seconds = Number(main().dataset.poll);
    if (seconds) timer = setTimeout(() => (document.hidden ? poll() : show(location.href)), 1000 * seconds);
  }

  function pickK(k) {
    byId("k").value = byId("k-slider").value = k;
    byId("elbow").dispatchEvent(new CustomEvent("look", { bubbles: true, detail: Number(k) }));
    show(addressOf(byId("view")));
  }

  async function copy(button) {
    const { copy: text, copyAddress } = button.dataset;
    const label = button.textContent;
    await write(copyAddress === undefined ? text : new URL(text, location.href).href);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  }

  async function write(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = document.createElement("textarea"); // over plain HTTP there is no clipboard
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  }

  /** Follow a link in the Airflow UI around this page: the frame itself may not leave. */
  function inAirflow(link) {
    const around = parent.document.createElement("a");
    around.href = link.href;
    parent.document.body.append(around);
    around.click();
    around.remove();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a");
    const button = event.target.closest?.("[data-copy]");
    const menu = document.querySelector(".menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
    if (button) copy(button);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if ("stay" in link.dataset) {
      event.preventDefault();
      show(link.getAttribute("href"));
    } else if ("airflow" in link.dataset && parent !== window) {
      event.preventDefault();
      inAirflow(link);
    }
  });

  document.addEventListener("keydown", (event) => {
    const menu = document.querySelector(".menu[open]");
    if (event.key !== "Escape" || !menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  document.addEventListener("input", ({ target }) => {
    if (target.id === "k" || target.id === "k-slider") {
      if (target.validity.valid && target.value) pickK(target.value);
    } else if ("goto" in target.dataset) {
      show(target.value);
    } else if (target.form?.id === "view") {
      show(addressOf(target.form));
    }
  });

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    show(addressOf(event.target));
  });

  document.addEventListener("pick", ({ target, detail }) => {
    if (target.id !== "elbow") return;
    byId("k-slider").focus(); // so that the arrow keys go on from here
    pickK(detail.x);
  });

  live(document).forEach(remember);
  poll();
})();
