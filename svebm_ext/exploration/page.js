"use strict";
// State and colours; map.js and lists.js follow. Everything that comes from the data enters the page as text, never as HTML.

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

