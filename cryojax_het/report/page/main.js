// The page from its content.

async function build() {
  const content = JSON.parse(document.getElementById("content").textContent);
  const explorer = new Explorer(content), found = parts(content, explorer);
  const links = found.map((part) => make("a", { href: `#${part.id}` }, part.dataset.title));
  const page = document.getElementById("page");
  page.replaceChildren(make("header", {}, make("h1", {}, content.title), content.subtitle ? make("code", {}, content.subtitle) : ""), make("nav", { "aria-label": "Sections" }, ...links), ...found, make("footer", {}, content.footer));
  await explorer.start();
  // For tests: what is shown, and when the page could be used.
  window.report = { explorer, content, ready: performance.now() };
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

build().catch((error) => {
  document.getElementById("page").prepend(make("section", {}, make("h2", {}, "This page could not be drawn"), make("pre", {}, String(error.stack || error))));
  throw error;
});
