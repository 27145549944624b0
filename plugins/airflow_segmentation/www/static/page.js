// Shows another view of the page without a reload. A view is its address: whatever a control changes, the next view
// is asked for by its address, and the parts of it that differ are swapped in.
(() => {
  "use strict";
  const REST = 300; // ms after which the views that may be asked for next are fetched
  const byId = (id) => document.getElementById(id);
  const main = () => document.querySelector("main");
  const isTyped = (control) => control.matches("input:not([type=checkbox])");
  let sources = new Map(); // of each live part that is shown, as the server sent it: drawing changes it
  let chosen = 0; // how many views were chosen
  let shown = 0; // which of them is shown
  let shownAt = trail.view;
  let wanted = false;
  let busy = false;
  let typing = false;
  let copied = null; // the button that says that it has copied
  let timer = 0;
  let rest = 0;

  /** Show the view at an address that a control chose. */
  function choose(address, control) {
    trail.go(new URL(address, location.href).href, control);
    chosen += 1;
    say("");
    follow();
    show();
  }

  /** Show the view chosen last, at once where it is here; else by one request at a time, and only for the last. */
  async function show(anew = false) {
    const here = anew || trail.view === shownAt ? undefined : views.at(trail.view);
    wanted = !here;
    if (here) {
      swap(here, trail.view, chosen);
      if (!busy) settle();
    } else if (!anew && byId("k-slider")) {
      // What can be seen at once, until the answer comes.
      byId("elbow").dispatchEvent(new CustomEvent("look", { bubbles: true, detail: Number(byId("k-slider").value) }));
    }
    if (busy || !wanted) return;
    busy = true;
    clearTimeout(timer);
    clearTimeout(rest);
    while (wanted) {
      const [address, choice] = [trail.view, chosen];
      let answer;
      wanted = false;
      try {
        answer = await views.get(address);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1000)); // no connection: try again, unless for another
        wanted ||= choice === chosen;
        continue;
      }
      swap(answer, address, choice, anew);
    }
    busy = false;
    settle();
  }

  function swap(page, address, choice, anew) {
    if (choice < shown) return; // what was chosen after it is shown already
    if (!page.main) return location.replace(address); // none of our pages
    const focused = document.activeElement?.id;
    const { state, poll } = page.main.dataset;
    shown = choice;
    shownAt = address;
    if (state === main().dataset.state) {
      const changed = [...page.sources.keys()].filter((id) => update(id, page)).length;
      if (anew && changed) views.drop();
      if (choice === chosen) controls(page.main);
      if (poll) main().dataset.poll = poll;
      else delete main().dataset.poll;
    } else {
      views.drop();
      main().replaceWith(document.importNode(page.main, true));
      sources = new Map(page.sources);
    }
    if (choice < chosen) follow();
    document.title = page.title;
    document.dispatchEvent(new Event("swapped"));
    if (focused && focused !== document.activeElement?.id) byId(focused)?.focus({ preventScroll: true });
  }

  /** Put a part of another view in the place of the one that is there, and return whether they differ. */
  function update(id, page) {
    const stale = byId(id);
    if (!stale || sources.get(id) === page.sources.get(id)) return false;
    sources.set(id, page.sources.get(id));
    const part = document.importNode(page.main.querySelector(`[id="${id}"]`), true);
    if (part.role === "status") {
      stale.textContent = part.textContent; // kept in place, or it would not be read out
      return true;
    }
    for (const open of stale.querySelectorAll("details[open]")) part.querySelector(`#${open.id}`)?.setAttribute("open", "");
    sayCopied(part);
    const [drawn, space] = [stale, part].map((each) => each.querySelector(":scope > .plot"));
    if (drawn && space) renew(stale, part, drawn, space);
    else stale.replaceWith(part);
    return true;
  }

  /** Renew all of a chart but what is drawn, which stays in its place: moved, all of it would be laid out again. */
  function renew(stale, part, drawn, space) {
    for (const { name, value } of part.attributes) stale.setAttribute(name, value);
    const nodes = [...part.childNodes];
    const at = nodes.indexOf(space);
    for (const node of [...stale.childNodes]) if (node !== drawn) node.remove();
    drawn.before(...nodes.slice(0, at));
    drawn.after(...nodes.slice(at + 1));
  }

  /** Set every control to what the fresh view says, but for the one that is typed into. */
  function controls(fresh) {
    for (const control of fresh.querySelectorAll("input[id], select[id]")) {
      const present = byId(control.id);
      if (!present || isBeingTyped(present)) continue;
      if (control.type === "checkbox") present.checked = control.checked;
      else present.value = control.value;
    }
  }

  /** Set every control to what the address of the view chosen last says, whose answer is still to come. */
  function follow() {
    const query = new URL(trail.view).searchParams;
    for (const control of byId("view")?.elements ?? []) {
      const values = query.getAll(control.name);
      if (!control.id || isBeingTyped(control)) continue;
      if (control.type === "checkbox") control.checked = values.includes(control.value);
      else if (values.length || mayBeEmpty(control)) control.value = values[0] ?? "";
    }
    if (query.has("k") && byId("k-slider")) byId("k-slider").value = query.get("k");
  }

  function isBeingTyped(control) {
    return typing && control === document.activeElement && isTyped(control);
  }

  function mayBeEmpty(control) {
    return control.options ? [...control.options].some((option) => !option.value) : control.type !== "number";
  }

  /** Return the address of what the form says, some of it changed. */
  function addressOf(form, changes = {}) {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    for (const [name, value] of Object.entries(changes)) query.set(name, value);
    return `${form.getAttribute("action")}?${query}`;
  }

  /** Return the address of a link of the view that is shown, on top of what was chosen since. */
  function onTop(href) {
    const [link, before, view] = [href, shownAt, trail.view].map((address) => new URL(address, location.href));
    if (before.href === view.href) return link.href;
    for (const name of view.searchParams.keys()) {
      if (isSame(link, before, name)) put(link, name, view.searchParams.getAll(name));
    }
    for (const name of new Set(before.searchParams.keys())) {
      if (isSame(link, before, name) && !view.searchParams.has(name)) link.searchParams.delete(name);
    }
    return link.href;
  }

  function isSame(one, other, name) {
    return JSON.stringify(one.searchParams.getAll(name)) === JSON.stringify(other.searchParams.getAll(name));
  }

  function put(url, name, values) {
    url.searchParams.delete(name);
    for (const value of values) url.searchParams.append(name, value);
  }

  /** Return the address with what the form says and the address does not: a view has one address. */
  function whole(address) {
    const url = new URL(address, location.href);
    const form = byId("view");
    if (!form) return address;
    const full = new URL(addressOf(form), location.href);
    if (full.pathname !== url.pathname) return address;
    for (const name of new Set(url.searchParams.keys())) {
      const values = url.searchParams.getAll(name);
      if (values.length === 1) full.searchParams.set(name, values[0]);
      else put(full, name, values);
    }
    return full.href;
  }

  /** Ask for the same view again while the run goes on; else fetch what may be asked for next. */
  function settle() {
    clearTimeout(timer);
    clearTimeout(rest);
    const seconds = Number(main().dataset.poll);
    if (seconds) timer = setTimeout(() => (document.hidden ? settle() : show(true)), 1000 * seconds);
    rest = setTimeout(() => views.prepare(neighbours()), REST);
  }

  /** Return the addresses of the views to each side of the k that is shown, and at the k of each method. */
  function neighbours() {
    const field = byId("k");
    if (!field) return [];
    const k = Number(field.value);
    const near = [k + 1, k - 1, k + 2, k - 2].filter((each) => each >= Number(field.min) && each <= Number(field.max));
    const methods = [...document.querySelectorAll("#methods a")].map((link) => new URL(link.href).searchParams.get("k"));
    const others = [...new Set([...near, ...methods.map(Number)])].filter((each) => each !== k);
    return others.map((each) => new URL(addressOf(byId("view"), { k: each }), location.href).href);
  }

  function pickK(k) {
    choose(addressOf(byId("view"), { k }), "k");
  }

  /** Say something about the k that is shown. */
  function say(words) {
    if (byId("k-note")) byId("k-note").textContent = words;
  }

  async function copy(button) {
    const { copy: text, copyAddress } = button.dataset;
    await write(copyAddress === undefined ? text : onTop(text));
    saidCopied();
    copied = { id: button.id, timer: setTimeout(saidCopied, 1500) };
    sayCopied(document);
  }

  /** Have the button that copied say so, though another view may have brought another one of its id. */
  function sayCopied(root) {
    const button = copied && root.querySelector(`#${copied.id}`);
    if (!button) return;
    copied.label = button.textContent;
    button.textContent = "Copied";
  }

  function saidCopied() {
    if (!copied) return;
    clearTimeout(copied.timer);
    if (byId(copied.id)) byId(copied.id).textContent = copied.label;
    copied = null;
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

  /** Follow a link in the Airflow UI around this page: the frame itself may not leave, nor open a tab. */
  function inAirflow(link) {
    const around = parent.document.createElement("a");
    around.href = link.href;
    around.target = link.target;
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
      choose(whole(onTop(link.href)), link.id);
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
    typing = isTyped(target);
    if (target.id === "k" || target.id === "k-slider") {
      if (target.validity.valid && target.value) pickK(target.value);
    } else if ("goto" in target.dataset) {
      choose(onTop(target.value), target.id);
    } else if (target.form?.id === "view") {
      choose(addressOf(target.form), target.id);
    }
  });

  document.addEventListener("change", ({ target }) => {
    typing = false;
    if (target.id !== "k" || (target.validity.valid && target.value)) return;
    target.value = byId("k-slider").value;
    say(target.dataset.range);
  });

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(addressOf(event.target), event.target.id);
  });

  addEventListener("popstate", () => {
    typing = false;
    chosen += 1;
    follow();
    show();
  });

  document.addEventListener("stale", () => show(true));

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !busy) settle();
  });

  document.addEventListener("pick", ({ target, detail }) => {
    if (target.id !== "elbow") return;
    byId("k-slider").focus(); // so that the arrow keys go on from here
    pickK(detail.x);
  });

  /** Unfold the guide on a person's first visit. */
  function welcome() {
    const guide = byId("guide");
    if (!guide) return;
    try {
      guide.open = !localStorage.getItem("segmentation-guide");
      localStorage.setItem("segmentation-guide", "seen");
    } catch {
      // storage is blocked: it stays folded
    }
  }

  /** Take the k that a person typed before this script was here. */
  function takeTyped() {
    const field = byId("k");
    if (field && field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  sources = views.sourcesIn(main());
  welcome();
  takeTyped();
  settle();
})();
