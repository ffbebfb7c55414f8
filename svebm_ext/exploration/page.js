"use strict";
// Map, legend and search. Everything that comes from the data enters the page as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const canvas = at("canvas");
const context = canvas.getContext("2d");
const COLOURS = 6;
const SHAPES = ["circle", "square", "triangle", "diamond", "plus", "down", "cross"];
const RESULTS = 100;

const sentences = data.sentences.map(([text, symbol, probability, labels]) => ({
  text, symbol, probability, labels, lower: text.toLowerCase(),
}));
const rankOf = new Map(data.symbols.map((symbol, rank) => [symbol.number, rank]));
// What the map can be coloured by: groups in the order of the legend, and the group of each sentence.
const colourings = [];
if (data.symbols.length) {
  colourings.push({
    name: "symbol",
    groups: data.symbols.map((s) => (s.name ? `${s.number} ${s.name}` : `${s.number}`)),
    short: data.symbols.map((s) => `${s.number}`),
    of: sentences.map((s) => rankOf.get(s.symbol)),
  });
}
data.fields.forEach((field, column) => {
  colourings.push({
    name: field.name, groups: field.values, short: field.values, of: sentences.map((s) => s.labels[column]),
  });
});
if (!colourings.length) {
  colourings.push({ name: "nothing", groups: ["all"], short: [""], of: sentences.map(() => 0) });
}

const state = {
  view: 0, colouring: 0, hidden: colourings.map(() => new Set()), matches: null, chosen: -1, pointed: -1,
  zoom: 1, centre: [0.5, 0.5],
};
let colours = [];
let places = [];

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  colours = Array.from({ length: COLOURS }, (_, i) => read(`--c${i}`));
  colours.ink = read("--ink");
  colours.soft = read("--soft");
  colours.halo = read("--halo");
  for (const badge of document.querySelectorAll(".badge")) {
    badge.style.setProperty("--badge", colours[badge.dataset.rank % COLOURS]);
  }
}

// Colour and shape: 6 x 7 groups look different; beyond that the numbers on the map tell them apart.
const colourOf = (group) => (group < 0 ? colours.soft : colours[group % COLOURS]);
const shapeOf = (group) => (group < 0 ? "circle" : SHAPES[Math.floor(group / COLOURS) % SHAPES.length]);

function outline(shape, x, y, r) {
  const path = new Path2D();
  const polygon = (points) => {
    points.forEach(([dx, dy], i) => (i ? path.lineTo(x + dx * r, y + dy * r) : path.moveTo(x + dx * r, y + dy * r)));
    path.closePath();
  };
  const t = 0.38;
  const plus = [[-t, -1.1], [t, -1.1], [t, -t], [1.1, -t], [1.1, t], [t, t], [t, 1.1], [-t, 1.1], [-t, t], [-1.1, t],
    [-1.1, -t], [-t, -t]];
  if (shape === "circle") path.arc(x, y, r, 0, 2 * Math.PI);
  if (shape === "square") polygon([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]);
  if (shape === "triangle") polygon([[0, -1.2], [1.1, 0.8], [-1.1, 0.8]]);
  if (shape === "down") polygon([[0, 1.2], [1.1, -0.8], [-1.1, -0.8]]);
  if (shape === "diamond") polygon([[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]]);
  if (shape === "plus") polygon(plus);
  if (shape === "cross") polygon(plus.map(([dx, dy]) => [(dx - dy) * 0.72, (dx + dy) * 0.72]));
  return path;
}

// Map --------------------------------------------------------------------------------------------------------------

function visible(i) {
  const group = colourings[state.colouring].of[i];
  return !state.hidden[state.colouring].has(group);
}

// Pixels of every point of the current view: the whole of it fits at zoom 1, whatever is switched on.
function place(width, height) {
  const view = data.views[state.view];
  const margin = 22;
  const all = at("prior").checked ? view.points.concat(view.prior) : view.points;
  const range = (axis) => {
    let low = Infinity;
    let high = -Infinity;
    for (const point of all) {
      low = Math.min(low, point[axis]);
      high = Math.max(high, point[axis]);
    }
    return [low, high > low ? high : low + 1];
  };
  const [lowX, highX] = range(0);
  const [lowY, highY] = range(1);
  const scale = ([x, y]) => [
    width / 2 + ((x - lowX) / (highX - lowX) - state.centre[0]) * (width - 2 * margin) * state.zoom,
    height / 2 - ((y - lowY) / (highY - lowY) - state.centre[1]) * (height - 2 * margin) * state.zoom,
  ];
  return { points: view.points.map(scale), prior: view.prior.map(scale) };
}

function draw() {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const placed = place(width, height);
  places = placed.points;
  if (at("prior").checked) drawPrior(placed.prior);
  const colouring = colourings[state.colouring];
  const radius = Math.min(6, 3.2 + 0.5 * Math.log2(state.zoom)) * (places.length > 4000 ? 0.7 : 1);
  places.forEach(([x, y], i) => {
    if (!visible(i)) return;
    context.globalAlpha = state.matches && !state.matches.has(i) ? 0.07 : 0.72;
    context.fillStyle = colourOf(colouring.of[i]);
    context.fill(outline(shapeOf(colouring.of[i]), x, y, radius));
  });
  context.globalAlpha = 1;
  drawNames(colouring);
  for (const i of [state.chosen, state.pointed]) {
    if (i < 0) continue;
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.stroke(outline("circle", places[i][0], places[i][1], radius + 4));
  }
}

function drawPrior(points) {
  context.strokeStyle = colours.soft;
  context.globalAlpha = 0.55;
  context.lineWidth = 1;
  context.beginPath();
  for (const [x, y] of points) {
    context.moveTo(x - 3, y - 3);
    context.lineTo(x + 3, y + 3);
    context.moveTo(x + 3, y - 3);
    context.lineTo(x - 3, y + 3);
  }
  context.stroke();
  context.globalAlpha = 1;
}

// Each group's name at the median of its marks: numbers of symbols always, values of labels where there are few.
function drawNames(colouring) {
  if (colouring.name !== "symbol" && colouring.groups.length > 15) return;
  const members = colouring.groups.map(() => []);
  places.forEach((point, i) => {
    const group = colouring.of[i];
    if (group >= 0 && visible(i) && (!state.matches || state.matches.has(i))) members[group].push(point);
  });
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.lineJoin = "round";
  const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
  members.forEach((points, group) => {
    if (points.length < 3) return;
    const x = median(points.map((p) => p[0]));
    const y = median(points.map((p) => p[1]));
    context.strokeStyle = colours.halo;
    context.strokeText(colouring.short[group], x, y);
    context.fillStyle = colours.ink;
    context.fillText(colouring.short[group], x, y);
  });
}

function nearest(x, y, limit) {
  let best = -1;
  let least = limit * limit;
  places.forEach(([px, py], i) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least && visible(i) && (!state.matches || state.matches.has(i))) {
      best = i;
      least = distance;
    }
  });
  return best;
}

function describe(i) {
  const { text, symbol, probability, labels } = sentences[i];
  const parts = [];
  if (symbol >= 0) parts.push(`symbol ${symbol}, p ${probability.toFixed(2)}`);
  data.fields.forEach((field, column) => {
    if (labels[column] >= 0) parts.push(`${field.name}: ${field.values[labels[column]]}`);
  });
  return [text, parts.join(" · ")];
}

function showTip(i, x, y) {
  const tip = at("tip");
  tip.hidden = i < 0;
  if (i < 0) return;
  const [text, note] = describe(i);
  tip.replaceChildren(element("div", { textContent: text }), element("small", { textContent: note }));
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(x + 14, canvas.clientWidth - wide - 4))}px`;
  const below = y + 16 + tip.offsetHeight < canvas.clientHeight;
  tip.style.top = `${below ? y + 16 : Math.max(4, y - 12 - tip.offsetHeight)}px`;
}

function choose(i) {
  state.chosen = i;
  const box = at("selected");
  if (i < 0) {
    box.textContent = "No sentence chosen.";
  } else {
    const [text, note] = describe(i);
    box.replaceChildren(element("div", { textContent: text }), element("small", { textContent: note }));
    if (sentences[i].symbol >= 0) {
      const link = element("a", { href: `#symbol-${sentences[i].symbol}`, textContent: "open the symbol" });
      box.append(" ", link);
    }
  }
  draw();
}

function zoomBy(factor) {
  state.zoom = Math.min(40, Math.max(1, state.zoom * factor));
  if (state.zoom === 1) state.centre = [0.5, 0.5];
  canvas.style.touchAction = state.zoom > 1 ? "none" : "pan-y";
  showTip(-1);
  draw();
}

// The next visible mark in the direction of an arrow key: near in that direction, little aside.
function step(dx, dy) {
  const start = state.chosen >= 0 ? places[state.chosen] : [canvas.clientWidth / 2, canvas.clientHeight / 2];
  let best = -1;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    if (i === state.chosen || !visible(i) || (state.matches && !state.matches.has(i))) return;
    const along = (x - start[0]) * dx + (y - start[1]) * dy;
    const aside = Math.abs((x - start[0]) * dy) + Math.abs((y - start[1]) * dx);
    if (along > 0 && along + 2 * aside < least) {
      best = i;
      least = along + 2 * aside;
    }
  });
  if (best < 0) return;
  choose(best);
  showTip(best, ...places[best]);
}

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.offsetX, y: event.offsetY, centre: state.centre, moved: false };
});
canvas.addEventListener("pointermove", (event) => {
  if (drag && event.buttons && state.zoom > 1) {
    const dx = event.offsetX - drag.x;
    const dy = event.offsetY - drag.y;
    drag.moved = drag.moved || Math.abs(dx) + Math.abs(dy) > 6;
    const own = (size) => (size - 44) * state.zoom;
    state.centre = [drag.centre[0] - dx / own(canvas.clientWidth), drag.centre[1] + dy / own(canvas.clientHeight)];
    state.pointed = -1;
    showTip(-1);
    draw();
    return;
  }
  const found = nearest(event.offsetX, event.offsetY, 14);
  if (found === state.pointed) return;
  state.pointed = found;
  showTip(found, event.offsetX, event.offsetY);
  draw();
});
canvas.addEventListener("pointerleave", () => {
  state.pointed = -1;
  showTip(-1);
  draw();
});
canvas.addEventListener("click", (event) => {
  if (!(drag && drag.moved)) {
    const found = nearest(event.offsetX, event.offsetY, 22);
    choose(found);
    showTip(found, event.offsetX, event.offsetY);
  }
  drag = null;
});
canvas.addEventListener("keydown", (event) => {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (arrows[event.key]) step(...arrows[event.key]);
  else if (event.key === "+" || event.key === "=") zoomBy(1.5);
  else if (event.key === "-") zoomBy(1 / 1.5);
  else if (event.key === "Escape") { choose(-1); showTip(-1); } else return;
  event.preventDefault();
});

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
