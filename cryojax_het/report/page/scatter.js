// The scatter of images: points by plotly in WebGL; above them, in SVG, what moves.

const MARGIN = { l: 64, r: 16, t: 12, b: 52 };

class Scatter {
  constructor(particles, handlers) {
    this.particles = particles;
    this.handlers = handlers; // walk(row, x, y), lasso(rows)
    this.plot = make("div");
    this.over = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.over.setAttribute("class", "over");
    this.surface = make("div", { class: "walk", tabindex: "0", role: "application", "aria-label": "Images. Click, drag or use arrow keys: the volume at that place is shown." });
    this.element = make("div", { class: "plot" }, this.plot, this.over, this.surface);
    this.path = null; // { x: [...], y: [...] } of a series, where it has a place in these axes
    this.mark = null;
    this.listen();
  }

  async draw(names, colour) {
    this.names = names;
    [this.x, this.y] = await Promise.all(names.map((name) => this.particles.values(name)));
    const many = this.particles.count, size = many > 30000 ? 2.6 : many > 3000 ? 4 : 6;
    const [a, b] = names.map((name) => this.particles.column(name));
    const marker = { ...(await this.tones(colour)), size, opacity: many > 30000 ? 0.55 : 0.75, line: { width: 0 } };
    const trace = { type: "scattergl", mode: "markers", x: this.x, y: this.y, marker, hoverinfo: "skip",
      selected: { marker: { opacity: 0.95 } }, unselected: { marker: { opacity: 0.07 } }, selectedpoints: this.selected || null };
    const fixed = { automargin: false };
    const layout = { font: FONT, margin: MARGIN, dragmode: this.mode || false, hovermode: false, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      xaxis: axisLook(titled(a), { ...fixed, range: spread(this.x) }), yaxis: axisLook(titled(b), { ...fixed, range: spread(this.y) }), uirevision: names.join() };
    await Plotly.react(this.plot, [trace], layout, { ...QUIET, scrollZoom: true });
    if (!this.ready) {
      this.ready = true;
      this.plot.on("plotly_relayout", () => this.overlay());
      this.plot.on("plotly_selected", (event) => event && event.points && !this.clearing && this.handlers.lasso(event.points.map((point) => point.pointIndex)));
      new ResizeObserver(() => this.overlay()).observe(this.element);
    }
    this.mark = null;
    this.overlay();
  }

  async tones(name) { return colouring(this.particles.column(name), await this.particles.values(name)); }

  async colour(name) {
    const tones = await this.tones(name);
    await Plotly.restyle(this.plot, { "marker.color": [tones.color], "marker.colorscale": [tones.colorscale], "marker.cmin": tones.cmin, "marker.cmax": tones.cmax });
  }

  async select(rows) {
    this.selected = rows;
    // Taking the drawn outline away counts as a selection of nothing, which is not what is meant.
    this.clearing = true;
    if ((this.plot.layout.selections || []).length) await Plotly.relayout(this.plot, { selections: [] });
    await Plotly.restyle(this.plot, { selectedpoints: [rows] });
    this.clearing = false;
  }

  use(mode) {
    // "walk" is ours; the others are plotly's drag modes.
    this.mode = mode === "walk" ? false : mode;
    this.surface.style.display = mode === "walk" ? "" : "none";
    Plotly.relayout(this.plot, { dragmode: this.mode });
  }

  frame() {
    const box = { left: MARGIN.l, top: MARGIN.t, width: this.element.clientWidth - MARGIN.l - MARGIN.r, height: this.element.clientHeight - MARGIN.t - MARGIN.b };
    const layout = this.plot.layout;
    return { ...box, x: layout.xaxis.range.map(Number), y: layout.yaxis.range.map(Number) };
  }

  toPixel(x, y) {
    const f = this.frame();
    return [(x - f.x[0]) / (f.x[1] - f.x[0]) * f.width, (f.y[1] - y) / (f.y[1] - f.y[0]) * f.height];
  }

  overlay() {
    const f = this.frame();
    const place = `left:${f.left}px;top:${f.top}px;width:${f.width}px;height:${f.height}px`;
    this.over.setAttribute("style", place);
    this.surface.setAttribute("style", place + (this.mode ? ";display:none" : ""));
    const parts = [];
    if (this.path) {
      const at = this.path.x.map((x, i) => this.toPixel(x, this.path.y[i]));
      if (this.path.joined) parts.push(`<polyline points="${at.map((p) => p.join()).join(" ")}" fill="none" stroke="#22272e" stroke-opacity="0.75" stroke-width="1.6"/>`);
      parts.push(...at.map((p) => `<circle cx="${p[0]}" cy="${p[1]}" r="3.4" fill="#fff" stroke="#22272e" stroke-width="1.4"/>`));
    }
    if (this.mark) {
      const [x, y] = this.toPixel(...this.mark);
      parts.push(`<circle cx="${x}" cy="${y}" r="7.5" fill="none" stroke="#fff" stroke-width="5"/><circle cx="${x}" cy="${y}" r="7.5" fill="none" stroke="#c4682b" stroke-width="2.6"/>`);
    }
    this.over.innerHTML = parts.join("");
  }

  point(x, y) { this.mark = x === null || !Number.isFinite(x) || !Number.isFinite(y) ? null : [x, y]; this.overlay(); }

  nearest(x, y, count = 1) {
    // Rows nearest on the screen to a place in the data.
    const f = this.frame(), sx = f.width / (f.x[1] - f.x[0]), sy = f.height / (f.y[1] - f.y[0]);
    const best = [];
    for (let i = 0; i < this.x.length; i++) {
      const dx = (this.x[i] - x) * sx, dy = (this.y[i] - y) * sy, d = dx * dx + dy * dy;
      if (!(d >= 0) || (best.length === count && d >= best[count - 1][0])) continue;
      let at = best.length;
      while (at > 0 && best[at - 1][0] > d) at--;
      best.splice(at, 0, [d, i]);
      if (best.length > count) best.pop();
    }
    return best.map((pair) => pair[1]);
  }

  listen() {
    const walk = (event) => {
      const box = this.surface.getBoundingClientRect(), f = this.frame();
      this.walk(f.x[0] + (event.clientX - box.left) / box.width * (f.x[1] - f.x[0]), f.y[1] - (event.clientY - box.top) / box.height * (f.y[1] - f.y[0]));
    };
    this.surface.addEventListener("pointerdown", (event) => { this.surface.setPointerCapture(event.pointerId); walk(event); });
    this.surface.addEventListener("pointermove", (event) => { if (event.buttons) walk(event); });
    const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.surface.addEventListener("keydown", (event) => {
      const step = keys[event.key];
      if (!step) return;
      event.preventDefault();
      const f = this.frame(), [x, y] = this.mark || [(f.x[0] + f.x[1]) / 2, (f.y[0] + f.y[1]) / 2];
      this.walk(x + step[0] * (f.x[1] - f.x[0]) / 50, y + step[1] * (f.y[1] - f.y[0]) / 50);
    });
  }

  walk(x, y) {
    const [row] = this.nearest(x, y);
    if (row !== undefined) this.handlers.walk(row, x, y);
  }
}

function spread(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  if (!(high >= low)) return [0, 1];
  const edge = 0.04 * (high - low) || 0.5;
  return [low - edge, high + edge];
}
