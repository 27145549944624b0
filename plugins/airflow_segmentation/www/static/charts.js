// Draws every chart of the page from the figure that stands beside it, in the colours of the style sheet.
(() => {
  "use strict";
  const config = {
    displaylogo: false,
    displayModeBar: true,
    responsive: true,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { scale: 2 },
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function template() {
    const axis = {
      automargin: true,
      color: colour("--muted"),
      gridcolor: colour("--grid"),
      linecolor: colour("--line"),
      zerolinecolor: colour("--line"),
      title: { font: { size: 13 }, standoff: 10 },
    };
    return {
      layout: {
        paper_bgcolor: colour("--card"),
        plot_bgcolor: colour("--card"),
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--text") },
        hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--text") } },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--muted"), activecolor: colour("--text") },
        xaxis: axis,
        yaxis: axis,
      },
    };
  }

  function draw(chart) {
    const json = chart.querySelector("script")?.textContent;
    const plot = chart.querySelector(".plot");
    const version = document.documentElement.dataset.mode + json;
    if (!json || plot.version === version) return;
    plot.version = version;
    const figure = JSON.parse(json);
    figure.layout.template = template();
    plot.querySelector(".space")?.remove();
    Plotly.react(plot, figure.data, figure.layout, {
      ...config,
      toImageButtonOptions: { ...config.toImageButtonOptions, filename: chart.id },
    });
    if (plot.listening) return;
    plot.listening = true;
    // The plot is kept and its chart around it replaced when another view is shown.
    plot.on("plotly_click", ({ points }) =>
      plot.closest(".chart").dispatchEvent(new CustomEvent("pick", { bubbles: true, detail: points[0] })),
    );
  }

  /** Move the ring at once; the rest of the view follows from the server. */
  function look({ target, detail: k }) {
    const plot = target.querySelector(".plot");
    const curve = plot.data?.find((trace) => trace.meta === "curve");
    const at = curve?.x.indexOf(k) ?? -1;
    const ring = plot.data?.findIndex((trace) => trace.meta === "looked-at");
    if (at >= 0) Plotly.restyle(plot, { x: [[k]], y: [[curve.y[at]]] }, [ring]);
  }

  /** Draw one chart after the other, the first at once, and let the browser show each before the next. */
  async function drawAll() {
    for (const chart of document.querySelectorAll(".chart")) {
      draw(chart);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  document.addEventListener("look", look);
  document.addEventListener("colourmode", drawAll);
  document.addEventListener("swapped", drawAll);
  drawAll();
})();
