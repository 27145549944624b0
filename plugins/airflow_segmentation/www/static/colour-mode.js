// Follows the colour mode of the Airflow UI around this page, while it is open; alone in a tab, Airflow's last
// choice, or else the system's; on paper it is light. Runs before the page is painted, so that it never flashes.
(() => {
  "use strict";
  const system = matchMedia("(prefers-color-scheme: dark)");

  function airflow() {
    try {
      return parent === window ? null : parent.document.documentElement;
    } catch {
      return null; // framed by another origin
    }
  }

  function stored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // opened from a file, or storage is blocked
    }
  }

  function mode() {
    if ("paper" in document.documentElement.dataset) return "light";
    const around = airflow();
    for (const mode of ["dark", "light"]) if (around?.classList.contains(mode)) return mode;
    const choice = stored();
    return choice === "dark" || choice === "light" ? choice : system.matches ? "dark" : "light";
  }

  function follow() {
    const root = document.documentElement;
    if (root.dataset.mode === mode()) return;
    root.dataset.mode = mode();
    document.dispatchEvent(new Event("colourmode"));
  }

  follow();
  system.addEventListener("change", follow);
  addEventListener("storage", follow);
  document.addEventListener("paper", follow);
  if (airflow()) new MutationObserver(follow).observe(airflow(), { attributeFilter: ["class"] });
})();
