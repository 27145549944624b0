// Makes the page ready for paper while it is printed: light, its charts as wide as a sheet, all that is folded open.
(() => {
  "use strict";
  const root = document.documentElement;
  const media = matchMedia("print");
  let opened = [];

  function onPaper(printing) {
    if (printing === "paper" in root.dataset) return;
    root.toggleAttribute("data-paper", printing);
    // Not the tables of a hundred rows and more, which nobody reads on paper.
    if (printing) opened = [...document.querySelectorAll("details:not([open], .menu, :has(tr:nth-child(101)))")];
    for (const details of opened) details.open = printing;
    document.dispatchEvent(new Event("paper"));
  }

  // A browser that prints tells it by events, one that only shows the print style by the medium; most do both.
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
  media.addEventListener("change", () => onPaper(media.matches));
})();
