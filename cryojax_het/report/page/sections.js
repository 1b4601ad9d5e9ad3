// The rest of the page, section by section.

function section(id, title, ...children) {
  const element = make("section", { id }, make("h2", {}, title), ...children);
  element.dataset.title = title;
  return element;
}

function facts(pairs) {
  return make("dl", { class: "facts" }, ...pairs.map(([label, value]) =>
    make("div", {}, make("dt", {}, label), make("dd", {}, typeof value === "number" ? number(value) : String(value)))));
}

function table(info) {
  const cell = (value) => (typeof value === "number" ? make("td", { class: "number" }, number(value, 3)) : make("td", String(value).length > 60 ? { class: "long" } : {}, value === null ? "none" : String(value)));
  return make("div", { class: "scroll" }, info.title ? make("h3", {}, info.title) : null, info.note ? make("p", { class: "note" }, info.note) : null,
    make("table", {}, make("thead", {}, make("tr", {}, ...info.head.map((text) => make("th", {}, text)))), make("tbody", {}, ...info.rows.map((row) => make("tr", {}, ...row.map(cell))))));
}

function later(holder, draw) {
  // Drawn when it comes near the window.
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    draw();
  }, { rootMargin: "400px" });
  watch.observe(holder);
}

function charts(list) {
  return make("div", { class: "charts" }, ...list.map((chart) => {
    const holder = make("div", { class: chart.values ? "chart wide" : "chart" });
    later(holder, () => (chart.values ? drawMatrix : drawChart)(holder, chart));
    return make("div", {}, make("h3", {}, chart.title), chart.note ? make("p", { class: "note" }, chart.note) : null, holder);
  }));
}

function pictures(groups, explorer) {
  return groups.map((group) => make("div", {}, make("h3", {}, group.title), make("div", { class: "images" }, ...group.items.map((item) =>
    make("button", { type: "button", title: `Image ${item.row}: show it in the scatter`, onclick: () => visit(item.row, explorer) }, make("img", { src: item.png, alt: `image ${item.row}` }), make("span", {}, item.caption))))));
}

function visit(row, explorer) {
  document.getElementById("explore").scrollIntoView();
  if (explorer.maps) explorer.walk(row, explorer.scatter.x[row], explorer.scatter.y[row]);
  else explorer.scatter.point(explorer.scatter.x[row], explorer.scatter.y[row]);
}

function parts(content, explorer) {
  const found = [];
  found.push(section("run", content.factsTitle || "Run", facts(content.facts), content.notes.length ? make("div", { class: "hints" }, make("ul", {}, ...content.notes.map((text) => make("li", {}, text)))) : null));
  if (content.particles || content.maps) found.push(section("explore", content.exploreTitle, content.exploreNote ? make("p", { class: "note" }, content.exploreNote) : null, explorer.element));
  for (const part of content.sections) {
    const children = [part.note ? make("p", { class: "note" }, part.note) : null];
    children.push(...(part.tables || []).map(table));
    if (part.charts && part.charts.length) children.push(charts(part.charts));
    if (part.images) children.push(...pictures(part.images, explorer));
    if (part.text) children.push(make("pre", {}, part.text));
    found.push(section(part.id, part.title, ...children.filter((child) => child !== null)));
  }
  return found;
}
