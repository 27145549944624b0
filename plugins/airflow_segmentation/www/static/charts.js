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

  const PAPER_WIDTH = 640; // what a sheet of A4 or Letter has room for, in pixels

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  let made = {};

  /** Return the colours and the letters of all charts, looked up once for each colour mode. */
  function template() {
    const { mode, paper } = document.documentElement.dataset;
    if (made.of !== mode + paper) made = { of: mode + paper, template: fromStyles() };
    return made.template;
  }

  function fromStyles() {
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
    const { mode, paper } = document.documentElement.dataset;
    const version = mode + paper + json;
    if (!json || plot.version === version) return;
    plot.version = version;
    const figure = JSON.parse(json);
    figure.layout.template = template();
    if (paper !== undefined) figure.layout.width = PAPER_WIDTH;
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

  let drawing = false;
  let again = false;

  const shown = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const amount = (chart) => chart.querySelector("script")?.textContent.length ?? 0;

  function isInSight(chart) {
    const { top, bottom } = chart.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  /** Draw one chart after the other, and let the browser show each before the next. */
  async function drawAll({ type } = {}) {
    again = true;
    if (drawing) return;
    drawing = true;
    while (again) {
      again = false;
      const charts = [...document.querySelectorAll(".chart")];
      if (type === "swapped") {
        await shown(); // the numbers of another view are first, then what is in sight, and of that what takes the least
        const inSight = new Set(charts.filter(isInSight));
        charts.sort((one, other) => inSight.has(other) - inSight.has(one) || amount(one) - amount(other));
      }
      for (const { id } of charts) {
        const chart = document.getElementById(id); // another view may have come meanwhile
        if (chart) draw(chart);
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    drawing = false;
  }

  /** Draw all charts for paper before the browser goes on, which prints what is there; or for the screen again. */
  function drawForPaper() {
    document.querySelectorAll(".chart").forEach(draw);
    if ("paper" in document.documentElement.dataset) return;
    for (const plot of document.querySelectorAll(".plot.js-plotly-plot")) Plotly.Plots.resize(plot);
  }

  document.addEventListener("look", look);
  document.addEventListener("paper", drawForPaper);
  document.addEventListener("colourmode", drawAll);
  document.addEventListener("swapped", drawAll);
  drawAll();
})();
