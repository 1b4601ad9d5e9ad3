// The table of images: columns decoded when they are first asked for, and how they are coloured.

const RAMP = [[0, "#26355e"], [0.25, "#2f6d8c"], [0.5, "#4aa18b"], [0.75, "#a6c36a"], [1, "#f2dd7e"]];
const CLASSES = ["#2c5f8a", "#d08a3c", "#4a8c68", "#a4506a", "#7a64a8", "#8a7a2e", "#3f9aa6", "#c4682b", "#5b6470", "#7fa650",
  "#6f93b8", "#e0b57e", "#86b89a", "#cf8fa2", "#ab9ccb", "#bfb06a", "#86c3cb", "#e09d72", "#98a0a9", "#b2cc92"];
const NO_CLASS = "#d3d7db";

class Particles {
  constructor(info) {
    this.info = info;
    this.count = info.count;
    this.shown = info.columns.filter((column) => column.group);
    this.cache = new Map();
  }

  column(name) { return this.info.columns.find((column) => column.name === name); }

  async values(name) {
    if (!this.cache.has(name)) this.cache.set(name, await columnValues(this.column(name)));
    return this.cache.get(name);
  }

  options() { return this.shown.map((column) => [column.name, titled(column), column.group]); }
}

function robustRange(values) {
  // Of the middle 98 %, from a sample: a few strays would leave one colour to all others.
  const some = [], step = Math.max(1, Math.floor(values.length / 20000));
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) some.push(values[i]);
  if (!some.length) return [0, 1];
  some.sort((a, b) => a - b);
  const low = some[Math.floor(0.01 * (some.length - 1))], high = some[Math.ceil(0.99 * (some.length - 1))];
  return high > low ? [low, high] : [some[0] - 0.5, some[some.length - 1] + 0.5];
}

function colouring(column, values) {
  // What plotly's markers take.
  if (column.kind !== "class") {
    const [cmin, cmax] = robustRange(values);
    return { color: values, colorscale: RAMP, cmin, cmax };
  }
  const color = new Float32Array(values.length), all = CLASSES.length;
  for (let i = 0; i < values.length; i++) color[i] = values[i] >= 0 ? values[i] % all : all;
  const colorscale = [...CLASSES, NO_CLASS].flatMap((tone, i) => [[i / (all + 1), tone], [(i + 1) / (all + 1), tone]]);
  return { color, colorscale, cmin: -0.5, cmax: all + 0.5 };
}

function legend(column, values, pick) {
  const holder = make("div", { class: "legend" });
  if (column.kind !== "class") {
    const [low, high] = robustRange(values), stops = RAMP.map(([share, tone]) => `${tone} ${100 * share}%`).join(",");
    holder.append(make("span", {}, titled(column)), make("span", {}, number(low, 3)), make("span", { class: "ramp", style: `background:linear-gradient(90deg,${stops})` }), make("span", {}, number(high, 3)));
    return holder;
  }
  const sizes = new Map();
  for (const value of values) if (Number.isFinite(value)) sizes.set(value, (sizes.get(value) || 0) + 1);
  holder.append(make("span", {}, `${titled(column)}: click to select`));
  for (const [value, size] of [...sizes].sort((a, b) => a[0] - b[0]).slice(0, 40)) {
    const tone = value >= 0 ? CLASSES[value % CLASSES.length] : NO_CLASS;
    const text = (column.names && column.names[value]) || (value < 0 ? "none" : String(value));
    holder.append(make("button", { type: "button", title: `${size.toLocaleString("en")} images`, onclick: () => pick(value) }, make("i", { style: `background:${tone}` }), text));
  }
  return holder;
}
