// Where a person has been: each view that was chosen is an entry of the browser's history. A view also outlives a reload
// of the Airflow UI, which loads this frame again at the address it first had.
const trail = (() => {
  "use strict";
  const GOES_ON = 1000; // ms: a key held down, a slider dragged or a word typed is one choice, and one entry
  const MOST = 8; // times a second: browsers ignore or refuse who writes to their history much more often
  const KEPT = "segmentation";
  let view = location.href;
  let control = null;
  let since = -Infinity;
  let timer = 0;
  let written = [];

  /** Go on to the view at an address, which a control chose. */
  function go(address, by) {
    const goesOn = by === control && performance.now() - since < GOES_ON;
    control = by;
    since = performance.now();
    if (address === view) return;
    if (!goesOn) write();
    view = address;
    written = written.filter((time) => since - time < 1000);
    if (!goesOn) history.pushState(null, "", view);
    else if (written.length < MOST) write();
    else timer ||= setTimeout(write, 1000 / MOST);
  }

  function write() {
    clearTimeout(timer);
    timer = 0;
    if (location.href === view) return;
    history.replaceState(null, "", view);
    written.push(performance.now());
  }

  function back() {
    clearTimeout(timer);
    timer = 0;
    view = location.href;
    control = null;
  }

  /** Return the address this frame began with, and when the page around it was loaded; null where there is none. */
  function around() {
    try {
      return { src: window.frameElement.src, loaded: parent.performance.timeOrigin };
    } catch {
      return null; // alone in a tab, or framed by another origin
    }
  }

  function keep() {
    write();
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ ...around(), view }));
    } catch {} // storage is blocked: the view is lost
  }

  /** Return the view that was left by a reload of the page around this one, once. */
  function left() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEPT));
      sessionStorage.removeItem(KEPT);
      const { src, loaded } = around();
      const reloaded = parent.performance.getEntriesByType("navigation")[0].type === "reload" && kept.loaded !== loaded;
      return reloaded && kept.src === src && src === location.href ? kept.view : null;
    } catch {
      return null;
    }
  }

  const address = around() && left();
  if (address && address !== view) location.replace(address);
  // Not pagehide: that comes, too, when the page around drops this frame to show something else.
  if (around()) addEventListener("beforeunload", keep);
  addEventListener("popstate", back);
  return {
    go,
    /** The address of the view that was chosen last; that of the page follows at the pace it may. */
    get view() {
      return view;
    },
  };
})();
