"use strict";
// Elements and numbers as text.

function make(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function number(value, digits = 4) {
  if (value === null || !Number.isFinite(value)) return "none";
  if (value === 0) return "0";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "\u2212");
}

function choice(label, options, value, changed) {
  // options: [value, text, group or null]
  const select = make("select", { onchange: () => changed(select.value) });
  const groups = new Map();
  for (const [key, text, group] of options) {
    const option = make("option", { value: key, selected: key === value }, text);
    if (!group) { select.append(option); continue; }
    if (!groups.has(group)) {
      groups.set(group, make("optgroup", { label: group }));
      select.append(groups.get(group));
    }
    groups.get(group).append(option);
  }
  return { element: make("label", {}, label, select), select };
}

function switches(names, value, changed, label) {
  // Buttons of which one is pressed.
  const buttons = names.map(([key, text, hint]) =>
    make("button", { type: "button", title: hint, "aria-pressed": String(key === value), onclick: () => press(key) }, text));
  function press(key) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(names[i][0] === key)));
    changed(key);
  }
  return { element: make("span", { class: "group", role: "group", "aria-label": label }, ...buttons), press };
}

function save(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function titled(column) { return column.unit ? `${column.label} (${column.unit})` : column.label; }
