// Plotly writes styles into the page, which our policy refuses with an error in the console for each. What it sets as
// an attribute goes by the CSSOM instead, which may; the style sheet of its maps, which we have none of, is left out.
(() => {
  "use strict";
  SVGElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
  document.head.appendChild = (node) =>
    node.localName === "style" ? node : Node.prototype.appendChild.call(document.head, node);
})();
