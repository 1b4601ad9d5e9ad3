// Curves and matrices, by plotly.

const FONT = { family: getComputedStyle(document.documentElement).getPropertyValue("--sans"), size: 12.5, color: "#22272e" };
const LINES = ["#2c5f8a", "#c4682b", "#4a8c68", "#8a5a9e", "#a08a2e", "#5b6470", "#b0476a", "#3f9aa6"];
const QUIET = { displayModeBar: false, responsive: true, doubleClick: "reset" };

function axisLook(title, more = {}) {
  return { title: { text: title, standoff: 8, font: { size: 12.5, color: "#5b6470" } }, gridcolor: "#eceef0", linecolor: "#c6ccd2",
    showline: true, zeroline: false, ticks: "outside", ticklen: 4, tickcolor: "#c6ccd2", automargin: true, exponentformat: "power", ...more };
}

function curveTraces(line, color) {
  const look = { color, width: 1.8, dash: line.dash || "solid" };
  const traces = [{ type: "scatter", mode: line.x.length < 2 ? "markers" : line.points ? "lines+markers" : "lines", name: line.name, x: line.x, y: line.y, line: look, marker: { size: 5, color }, hovertemplate: "%{x:.4g}, %{y:.4g}" }];
  if (line.low) {
    const quiet = { type: "scatter", mode: "lines", x: line.x, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    traces.unshift({ ...quiet, y: line.low }, { ...quiet, y: line.high, fill: "tonexty", fillcolor: color + "26" });
  }
  return traces;
}

function resolutionTicks(chart) {
  // Frequencies are read in Å.
  const most = Math.max(...chart.lines.flatMap((line) => line.x.filter((v) => v !== null)));
  const values = [0.25, 0.5, 0.75, 1].map((share) => share * most);
  return { tickvals: [0, ...values], ticktext: ["", ...values.map((v) => `1/${number(1 / v, 3)}`)] };
}

function drawChart(holder, chart) {
  const several = chart.lines.length > 1;
  const ticks = chart.x.frequency ? resolutionTicks(chart) : {};
  const layout = {
    font: FONT, margin: { l: 58, r: 14, t: several ? 34 : 12, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: axisLook(chart.x.label, ticks), yaxis: axisLook(chart.y.label, chart.y.range ? { range: chart.y.range } : chart.y.log ? { type: "log", dtick: 1 } : {}),
    showlegend: several, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    shapes: (chart.marks || []).map((mark) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: mark.y, y1: mark.y, line: { color: "#a9b0b7", width: 1, dash: "dot" } })),
    annotations: (chart.marks || []).map((mark) => ({ text: mark.label, xref: "paper", x: 1, xanchor: "right", y: mark.y, yanchor: "bottom", showarrow: false, font: { size: 11, color: "#8b939d" } })),
  };
  Plotly.newPlot(holder, chart.lines.flatMap((line, i) => curveTraces(line, LINES[i % LINES.length])), layout, QUIET);
}

function drawMatrix(holder, matrix) {
  const text = matrix.values.map((row) => row.map((v) => (v === null ? "" : v.toFixed(2))));
  const few = matrix.values.length <= 8;
  const range = matrix.range || [null, null];
  Plotly.newPlot(holder, [{
    type: "heatmap", z: matrix.values, x: matrix.columns, y: matrix.rows, colorscale: RAMP, reversescale: true, zmin: range[0], zmax: range[1],
    text, texttemplate: few ? "%{text}" : "", hovertemplate: "%{y}, %{x}: %{z:.3f}<extra></extra>", colorbar: { thickness: 10, outlinewidth: 0, title: { text: matrix.label, side: "right" } },
  }], {
    font: FONT, margin: { l: 90, r: 10, t: 8, b: 60 }, paper_bgcolor: "rgba(0,0,0,0)",
    xaxis: { automargin: true, title: { text: matrix.x || "" } }, yaxis: { automargin: true, autorange: "reversed", title: { text: matrix.y || "" } },
  }, QUIET);
}
