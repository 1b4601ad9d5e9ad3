// Scatter, viewer and player together.

class Explorer {
  constructor(content) {
    this.content = content;
    this.maps = content.maps && new Maps(content.maps);
    this.viewer = this.maps && new Viewer(content.maps, this.maps.low, this.maps.high);
    this.particles = content.particles && new Particles(content.particles);
    this.said = make("p", { class: "said", "aria-live": "polite" });
    this.element = make("div", { class: "explore" + (this.maps && this.particles ? "" : " alone") });
    this.latents = content.latents || [];
    if (this.particles) this.element.append(this.left());
    if (this.maps) this.element.append(this.right());
  }

  left() {
    const p = this.particles, [x, y] = this.content.particles.axes;
    Object.assign(this, { axes: [x, y], colour: this.content.particles.colour, key: make("div") });
    this.scatter = new Scatter(p, { walk: (row, a, b) => this.walk(row, a, b), lasso: (rows) => this.selection.set(rows) });
    this.selection = new Selection(this.content, this.scatter, p);
    const axis = (label, k) => choice(label, p.options(), this.axes[k], (name) => { this.axes[k] = name; this.redraw(); }).element;
    const modes = [["walk", "Walk", "Click or drag: the volume at that place"], ["lasso", "Lasso", "Draw around images"], ["select", "Box", "Select a rectangle"], ["zoom", "Zoom", "Drag a rectangle; double click goes back"], ["pan", "Pan", "Move the picture"]];
    const tools = switches(this.maps ? modes : modes.slice(1), this.maps ? "walk" : "lasso", (mode) => this.scatter.use(mode), "What dragging does");
    if (!this.maps) this.scatter.mode = "lasso";
    const colour = choice("colour", p.options(), this.colour, (name) => this.recolour(name)).element;
    return make("div", {}, make("div", { class: "bar" }, axis("x", 0), axis("y", 1), colour), make("div", { class: "bar" }, tools.element), this.scatter.element, this.key, this.selection.element, this.maps ? null : this.said);
  }

  right() {
    const info = this.content.maps, top = this.maps.high * 0.87;
    const level = make("input", { type: "range", min: "0", max: "1000", value: String(1000 * info.level / top), "aria-label": "Threshold of the surface", oninput: () => { this.viewer.threshold(top * Number(level.value) / 1000); told.textContent = number(this.viewer.level, 3); } });
    const told = make("span", { title: "density of the surface, in the maps' own units" }, number(info.level, 3));
    this.level = level;
    const home = make("button", { type: "button", onclick: () => this.viewer.home() }, "Reset view");
    const picture = make("button", { type: "button", onclick: () => { this.viewer.draw(); this.viewer.canvas.toBlob((blob) => save("volume.png", [blob], "image/png")); } }, "Save picture");
    const bar = make("div", { class: "bar" }, make("label", { style: "flex:1 1 160px" }, "threshold", level, told), home, picture);
    this.player = this.content.series.length ? new Player(this.content.series, (series, place) => this.playing(series, place)) : null;
    return make("div", {}, this.player ? this.player.element : null, bar, this.viewer.element, this.said);
  }

  async start() {
    if (this.particles) await this.redraw();
    if (!this.maps) return;
    if (this.player) {
      this.player.choose(0);
      if (this.particles) await this.placePath(this.player.current);
    } else this.want(mixOf([[this.content.maps.first, 1]]), `Shown: ${this.content.maps.entries[this.content.maps.first].name}.`, true);
    await this.settled;
  }

  async redraw() {
    await this.scatter.draw(this.axes, this.colour);
    await this.drawLegend();
    if (this.player) await this.placePath(this.player.current);
  }

  async recolour(name) { this.colour = name; await this.scatter.colour(name); await this.drawLegend(); }

  async drawLegend() {
    const column = this.particles.column(this.colour);
    this.key.replaceChildren(legend(column, await this.particles.values(this.colour), (value) => this.selection.ofClass(this.colour, value)));
  }

  // Where a series lies in the present axes: by its latents, or by the images that it visits.
  async placePath(series) {
    const at = this.axes.map((name) => this.latents.indexOf(name));
    const columns = await Promise.all(this.axes.map((name) => this.particles.values(name)));
    const spot = (state, k) => (at[k] >= 0 && state.latent ? state.latent[at[k]] : state.row !== null && state.row !== undefined ? columns[k][state.row] : NaN);
    const x = series.states.map((s) => spot(s, 0)), y = series.states.map((s) => spot(s, 1));
    const known = x.every(Number.isFinite) && y.every(Number.isFinite);
    this.scatter.path = known ? { x, y, joined: series.smooth } : null;
    this.scatter.point(known ? x[0] : null, known ? y[0] : null);
    if (known) this.markPlace(this.player.place);
  }

  markPlace(place) {
    const path = this.scatter && this.scatter.path;
    if (!path) return;
    const low = Math.floor(place), high = Math.min(low + 1, path.x.length - 1), share = place - low;
    this.scatter.point((1 - share) * path.x[low] + share * path.x[high], (1 - share) * path.y[low] + share * path.y[high]);
  }

  playing(series, place) {
    if (this.particles && this.scatter.ready && series !== this.placed) {
      this.placed = series;
      this.placePath(series);
    } else this.markPlace(place);
    const latent = stateLatent(series, place), near = series.states[Math.round(place)];
    const coordinates = latent && this.latents.length ? ` Latents ${latent.slice(0, 6).map((v) => number(v, 3)).join(", ")}${latent.length > 6 ? ", \u2026" : ""}.` : "";
    const between = Number.isInteger(place) ? near.text : `between ${series.states[Math.floor(place)].text} and ${series.states[Math.ceil(place)].text}`;
    const how = Number.isInteger(place) || !series.smooth ? "" : this.content.maps.exact ? "" : " Between two states the picture blends them: no conformation of its own.";
    this.want(stateMix(series, place), [make("b", {}, series.label), `, ${between}.${coordinates}${how}`], true);
  }

  async walk(row, x, y) {
    if (!this.maps) return;
    if (this.player) this.player.pause();
    const found = await this.mixAt(row, x, y);
    const place = found.place || [this.scatter.x[row], this.scatter.y[row]];
    this.scatter.point(...place);
    this.want(found.mix, [make("b", {}, `Image ${row.toLocaleString("en")}`), `, ${titled(this.particles.column(this.axes[0]))} ${number(place[0], 3)}, ${titled(this.particles.column(this.axes[1]))} ${number(place[1], 3)}. ${found.text}`], false);
  }

  async mixAt(row, x, y) {
    const at = this.content.maps.at;
    if (at.kind === "combination") return this.combined(at, row, x, y);
    if (at.kind === "label") {
      const label = (await this.particles.values(at.column))[row];
      return at.maps[label] === undefined ? this.single("It belongs to no class: the mean is shown.") : { mix: mixOf([[at.maps[label], 1]]), text: `The map of its class, ${label + 1}.` };
    }
    if (at.kind === "nearest") return this.nearestState(at, row);
    return this.single("This run has one map for all images.");
  }

  single(text) { return { mix: mixOf([[this.content.maps.first, 1]]), text }; }

  async combined(at, row, x, y) {
    const columns = await Promise.all(at.columns.map((name) => this.particles.values(name)));
    const axes = this.axes.map((name) => at.columns.indexOf(name));
    const weights = columns.map((values) => values[row]);
    if (!weights.every(Number.isFinite)) return this.single("It has no latents: the mean is shown.");
    let place = null, text = "Exact: the model's map at this image's latents.";
    if (at.free && axes[0] >= 0 && axes[1] >= 0 && axes[0] !== axes[1]) {
      // The two coordinates of the pointer; the others as images nearby have them.
      const near = this.scatter.nearest(x, y, 30);
      columns.forEach((values, k) => { weights[k] = near.reduce((sum, i) => sum + values[i], 0) / near.length; });
      [weights[axes[0]], weights[axes[1]]] = [x, y];
      place = [x, y];
      text = columns.length > 2 ? "Exact: the model's map here, other coordinates the mean of the 30 images nearest." : "Exact: the model's map here.";
    }
    return { mix: mixOf([[at.mean, 1], ...at.parts.map((part, k) => [part, weights[k]])]), place, text };
  }

  async nearestState(at, row) {
    const columns = await Promise.all(this.latents.map((name) => this.particles.values(name)));
    let best = null;
    for (const series of this.content.series) for (const state of series.states) {
      if (!state.latent) continue;
      const d = Math.sqrt(state.latent.reduce((sum, v, k) => sum + ((v - columns[k][row]) / at.spread[k]) ** 2, 0));
      if (!best || d < best.d) best = { d, series, state };
    }
    if (!best || !Number.isFinite(best.d)) return this.single("No map has latents to compare: the mean is shown.");
    return { mix: mixOf(best.state.mix), text: `Nearest map there is: ${best.series.label}, ${best.state.text}, ${number(best.d, 2)} standard deviations of the latents away.` };
  }

  // Show a mix: at once, or gliding there from what is shown.
  want(mix, text, atOnce) {
    this.said.replaceChildren(...(Array.isArray(text) ? text : [text]));
    this.target = mix;
    if (atOnce || !this.now) this.now = mix;
    if (!this.gliding) this.settled = this.glide();
  }

  async glide() {
    this.gliding = true;
    for (;;) {
      if (this.maps.distance(this.now, this.target) < 0.004) this.now = this.target;
      const shown = this.now;
      this.viewer.show(await this.maps.mixed(shown));
      await new Promise(requestAnimationFrame);
      if (this.now === this.target && shown === this.now) break;
      if (this.now !== this.target) this.now = blend(this.now, this.target, 0.35);
    }
    this.gliding = false;
  }
}
