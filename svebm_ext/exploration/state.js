"use strict";
// Data of the page and what all other parts share. Everything that comes from the data enters the page as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");

const symbols = data.symbols;
const groups = data.groups;
const rankOf = new Map(symbols.map((symbol, rank) => [symbol.number, rank]));
const numberOf = new Map(symbols.map((symbol) => [symbol.id, symbol.number]));
const sentences = data.sentences.map(([text, symbol, probability, labels, split, entropy, novelty, ofGroup]) => ({
  text, symbol, probability, labels, split, entropy, novelty, ofGroup, lower: text.toLowerCase(), id: idOf(text),
}));

// What is looked at now. `shown`: rows of the list, in its order; `matches`: 1 for a text that the filters let pass.
const state = {
  shown: [], matches: new Uint8Array(sentences.length).fill(1), filtered: false, query: "", chosen: -1, pointed: -1,
  view: 0, colouring: 0, zoom: 1, centre: [0.5, 0.5],
};

// 53 bits of a text (two multiplicative hashes of 32): a browser keeps these, and no texts.
function idOf(text) {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, action, properties = {}) {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", action);
  return made;
}

function option(value, text) {
  return element("option", { value, textContent: text });
}

function tell(text) {
  at("told").textContent = text;
}

// A text with the parts that match the search marked.
function marked(text, query) {
  if (!query) return [text];
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [text]; // places differ where a capital becomes two letters
  const parts = [];
  let from = 0;
  for (let place = lower.indexOf(query); place >= 0; place = lower.indexOf(query, from)) {
    parts.push(text.slice(from, place), element("mark", { textContent: text.slice(place, place + query.length) }));
    from = place + query.length;
  }
  return [...parts, text.slice(from)];
}
