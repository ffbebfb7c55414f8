// Legend -----------------------------------------------------------------------------------------------------------

function legend() {
  const { groups, of } = colourings[state.colouring];
  const hidden = state.hidden[state.colouring];
  const counts = groups.map(() => 0);
  let without = 0;
  for (const group of of) {
    if (group >= 0) counts[group] += 1;
    else without += 1;
  }
  const items = groups.map((name, group) => [name, group, counts[group]]).filter((item) => item[2] > 0);
  if (without) items.push(["(none)", -1, without]);
  at("legend").replaceChildren(...items.map(([name, group, count]) => {
    const sign = element("canvas", { width: 32, height: 32 });
    sign.setAttribute("aria-hidden", "true");
    sign.className = "sign";
    const brush = sign.getContext("2d");
    brush.fillStyle = colourOf(group);
    brush.fill(outline(shapeOf(group), 16, 16, 10));
    const button = element("button", { type: "button" }, sign, element("span", { textContent: name }),
      element("small", { textContent: count.toLocaleString("en") }));
    button.setAttribute("aria-pressed", String(!hidden.has(group)));
    button.addEventListener("click", () => {
      if (!hidden.delete(group)) hidden.add(group);
      button.setAttribute("aria-pressed", String(!hidden.has(group)));
      draw();
    });
    return element("li", {}, button);
  }));
}

function allOrNone(shown) {
  const hidden = state.hidden[state.colouring];
  hidden.clear();
  if (!shown) [-1, ...colourings[state.colouring].groups.keys()].forEach((group) => hidden.add(group));
  legend();
  draw();
}

// Search -----------------------------------------------------------------------------------------------------------

// Values of the filter: "" (all), "s3" (symbol 3), "l0:2" (third value of the first label).
function passes(filter) {
  if (!filter) return () => true;
  if (filter[0] === "s") return (sentence) => sentence.symbol === Number(filter.slice(1));
  const [column, value] = filter.slice(1).split(":").map(Number);
  return (sentence) => sentence.labels[column] === value;
}

function marked(text, query) {
  if (!query) return [text];
  const lower = text.toLowerCase();
  const parts = [];
  let from = 0;
  for (let found = lower.indexOf(query); found >= 0; found = lower.indexOf(query, from)) {
    parts.push(text.slice(from, found), element("mark", { textContent: text.slice(found, found + query.length) }));
    from = found + query.length;
  }
  return [...parts, text.slice(from)];
}

function search() {
  const query = at("query").value.trim().toLowerCase();
  const filter = passes(at("filter").value);
  const found = [];
  sentences.forEach((sentence, i) => {
    if (sentence.lower.includes(query) && filter(sentence)) found.push(i);
  });
  state.matches = query || at("filter").value ? new Set(found) : null;
  found.sort((a, b) => sentences[b].probability - sentences[a].probability);
  const shown = found.slice(0, RESULTS);
  at("count").textContent = `${found.length.toLocaleString("en")} sentences` +
    (found.length > RESULTS ? `, the first ${RESULTS} shown` : "");
  at("results").replaceChildren(...shown.map((i) => result(i, query)));
  draw();
}

function result(i, query) {
  const { text, symbol } = sentences[i];
  const line = element("span", { className: "text" }, ...marked(text, query), " ",
    element("small", { textContent: describe(i)[1] }));
  const where = element("button", { type: "button", className: "where", textContent: "on the map" });
  where.addEventListener("click", () => {
    choose(i);
    showTip(i, ...places[i]);
    at("map").scrollIntoView();
  });
  const badge = symbol < 0 ? "" : element("a", { className: "badge", href: `#symbol-${symbol}`, textContent: symbol });
  if (badge) {
    badge.dataset.rank = rankOf.get(symbol);
    badge.style.setProperty("--badge", colours[rankOf.get(symbol) % COLOURS]);
  }
  return element("li", {}, badge, line, where);
}

// Controls ---------------------------------------------------------------------------------------------------------

function option(value, text) {
  return element("option", { value, textContent: text });
}

function fillControls() {
  data.views.forEach((view, i) => at("view").append(option(i, view.name)));
  colourings.forEach((colouring, i) => at("colour").append(option(i, colouring.name)));
  at("prior-label").hidden = data.views.every((view) => view.prior.length === 0);
  at("filter").append(option("", "all sentences"));
  const group = (label, options) => at("filter").append(element("optgroup", { label }, ...options));
  if (data.symbols.length) {
    const used = new Set(sentences.map((sentence) => sentence.symbol));
    group("symbol", data.symbols.filter((symbol) => used.has(symbol.number))
      .map((symbol) => option(`s${symbol.number}`, `symbol ${symbol.number} ${symbol.name}`)));
  }
  data.fields.forEach((field, column) => {
    group(field.name, field.values.map((value, i) => option(`l${column}:${i}`, value)));
  });
}

function showView() {
  const view = data.views[state.view];
  at("view-note").textContent = `${view.name}: ${view.note}`;
  draw();
}

function openTarget() {
  const target = location.hash.startsWith("#symbol-") && document.getElementById(location.hash.slice(1));
  for (let place = target; place; place = place.parentElement) {
    if (place.tagName === "DETAILS") place.open = true;
  }
  if (target) target.scrollIntoView();
}

at("view").addEventListener("change", (event) => { state.view = Number(event.target.value); showView(); });
at("colour").addEventListener("change", (event) => { state.colouring = Number(event.target.value); legend(); draw(); });
at("prior").addEventListener("change", draw);
at("zoom-in").addEventListener("click", () => zoomBy(1.5));
at("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
at("zoom-reset").addEventListener("click", () => zoomBy(0));
at("legend-all").addEventListener("click", () => allOrNone(true));
at("legend-none").addEventListener("click", () => allOrNone(false));
at("query").addEventListener("input", search);
at("filter").addEventListener("change", search);
const openAll = (open) => document.querySelectorAll(".symbol").forEach((symbol) => { symbol.open = open; });
at("open-all").addEventListener("click", () => openAll(true));
at("close-all").addEventListener("click", () => openAll(false));
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.show");
  if (!button) return;
  at("filter").value = `s${button.dataset.symbol}`;
  at("query").value = "";
  search();
  at("map").scrollIntoView();
});
window.addEventListener("hashchange", openTarget);
window.addEventListener("resize", () => { showTip(-1); draw(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); legend(); search(); });

readColours();
fillControls();
legend();
search();
showView();
openTarget();
