// Which images are chosen, and the files that say so.

class Selection {
  constructor(content, scatter, particles) {
    Object.assign(this, { content, scatter, particles, rows: [] });
    this.said = make("span", { "aria-live": "polite" }, "no images selected");
    const rows = content.rows;
    this.table = rows && make("button", { type: "button", disabled: true, title: "The rows of the particle file, every column as it is", onclick: () => this.saveTable() }, "Save as STAR");
    this.list = make("button", { type: "button", disabled: true, title: "Row numbers from 0, for cryojax-het select --rows", onclick: () => this.saveList() }, "Save row numbers");
    this.element = make("div", { class: "bar" }, this.said,
      make("button", { type: "button", onclick: () => this.set([]) }, "Clear"),
      make("button", { type: "button", onclick: () => this.invert() }, "Invert"), this.table || null, this.list);
  }

  async set(rows) {
    this.rows = [...rows].sort((a, b) => a - b);
    const share = (100 * this.rows.length / this.particles.count).toFixed(1);
    this.said.textContent = this.rows.length ? `${this.rows.length.toLocaleString("en")} images selected (${share} %)` : "no images selected";
    for (const button of [this.table, this.list]) if (button) button.disabled = !this.rows.length;
    await this.scatter.select(this.rows.length ? this.rows : null);
  }

  invert() {
    const chosen = new Set(this.rows), rest = [];
    for (let i = 0; i < this.particles.count; i++) if (!chosen.has(i)) rest.push(i);
    this.set(rest);
  }

  async ofClass(name, value) {
    const values = await this.particles.values(name), rows = [];
    for (let i = 0; i < values.length; i++) if (values[i] === value) rows.push(i);
    this.set(rows);
  }

  async saveTable() {
    // Bytes of the original lines, whatever their encoding.
    const { head, body, tail, name } = this.content.rows;
    const lines = await blobBytes(body), starts = [0];
    for (let i = 0; i < lines.length; i++) if (lines[i] === 10) starts.push(i + 1);
    const chosen = this.rows.map((row) => lines.subarray(starts[row], starts[row + 1]));
    save(name.replace(/\.star$/i, "") + "_selected.star", [await blobBytes(head), ...chosen, await blobBytes(tail)], "text/plain");
  }

  saveList() { save("rows.txt", [this.rows.join("\n") + "\n"], "text/plain"); }
}
