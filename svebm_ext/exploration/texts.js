// Texts --------------------------------------------------------------------------------------------------------------
// Filters, orders, and a list of which only the rows in sight exist.

const ids = new Set(sentences.map((sentence) => sentence.id));
const everyRow = sentences.map((_, i) => i);
const sorted = (less) => {
  let rows = null; // made when it is first asked for
  return () => (rows = rows || [...everyRow].sort((a, b) => less(sentences[a], sentences[b]) || a - b));
};
const orders = {
  certain: sorted((a, b) => b.probability - a.probability || a.entropy - b.entropy),
  uncertain: sorted((a, b) => b.entropy - a.entropy || a.probability - b.probability),
  next: () => data.next,
  novel: sorted((a, b) => b.novelty - a.novelty),
  file: () => everyRow,
};
const ORDER_NAMES = {
  certain: "most certain first", uncertain: "least certain first", next: "label these next", novel: "unlike the rest first",
  file: "as in the files",
};
const MARKS = {
  "": "or not", none: "not yet", any: "in some way", right: "right", wrong: "wrong", other: "with a class",
};

// Values of the filter: "" (all but hidden topics), "h" (hidden ones), "t3" (topic of rank 3), "g0" (all of group 0),
// "l0:2" (third value of the first label).
function topicFilter(value) {
  if (!value) {
    return (i) => {
      const topic = topicOf(i);
      return !topic || !topic.hidden;
    };
  }
  if (value === "h") return (i) => Boolean(topicOf(i)) && topicOf(i).hidden;
  if (value[0] === "t") return (i) => Boolean(topicOf(i)) && topicOf(i).rank === Number(value.slice(1));
  if (value[0] === "g") return (i) => topicOf(i) && symbols[rankOf.get(sentences[i].symbol)].group === Number(value.slice(1));
  const [column, label] = value.slice(1).split(":").map(Number);
  return (i) => sentences[i].labels[column] === label;
}

function markFilter(value) {
  if (!value) return () => true;
  if (value === "none") return (i) => markOf(i) === undefined;
  if (value === "any") return (i) => markOf(i) !== undefined;
  if (value === "other") return (i) => /^[sc]:/.test(markOf(i) || "");
  return (i) => markOf(i) === value;
}

// Fill the list by what the controls say. Marks made after that leave it as it is, so that no row slips away.
function list() {
  const query = clean(at("query").value).toLowerCase();
  const byTopic = topicFilter(at("filter").value);
  const byMark = markFilter(at("marked").value);
  const split = at("split").value === "" ? -1 : Number(at("split").value);
  const matches = new Uint8Array(sentences.length);
  const shown = [];
  for (const i of orders[at("order").value]()) {
    const sentence = sentences[i];
    if (query && !sentence.lower.includes(query)) continue;
    if (split >= 0 && sentence.split !== split) continue;
    if (!byTopic(i) || !byMark(i)) continue;
    shown.push(i);
    matches[i] = 1;
  }
  Object.assign(state, { shown, matches, query, filtered: shown.length < sentences.length });
  state.place = new Map(shown.map((i, place) => [i, place]));
  at("count").textContent = counted(shown.length);
  at("rows").style.height = `${shown.length * rowHeight()}px`;
  at("list").scrollTop = 0;
  drawRows();
  draw();
}

function counted(n) {
  let nMarked = 0;
  for (const id of decisions.marks.keys()) if (ids.has(id)) nMarked += 1; // equal texts count once
  const next = at("order").value === "next"
    ? " These are uncertain and different from one another: their labels tell most." : "";
  return `${number(n)} of ${number(sentences.length)} texts, ${number(nMarked)} marked.${next}`;
}

const rowHeight = () => (window.matchMedia("(max-width: 760px)").matches ? 78 : 62);

function noteOf(i) {
  const { probability, ofGroup, labels, split } = sentences[i];
  const parts = [];
  const topic = topicOf(i);
  if (topic) parts.push(`${topic.title} ${(groupOf(topic) >= 0 ? ofGroup : probability).toFixed(2)}`);
  data.fields.forEach((field, column) => {
    if (labels[column] >= 0) parts.push(`${field.name}: ${field.values[labels[column]]}`);
  });
  if (data.sizes.length > 1) parts.push(data.splits[split]);
  return parts.join(" · ");
}

function markSign(i) {
  const mark = markOf(i);
  if (mark === undefined) return "";
  const name = mark === "right" ? "✓ right" : mark === "wrong" ? "✗ wrong" : `→ ${classOf(i)}`;
  return element("span", { className: `mark-${/^[sc]:/.test(mark) ? "class" : mark}`, textContent: name });
}

function row(place) {
  const i = state.shown[place];
  const topic = topicOf(i);
  const made = element("div", { className: "row", id: `row-${place}` }, sign(topic && !topic.hidden ? topic.rank : -1),
    element("div", { className: "row-text" }, ...marked(sentences[i].text, state.query)),
    element("small", { className: "row-note" }, markSign(i), ` ${noteOf(i)}`));
  made.setAttribute("role", "option");
  made.setAttribute("aria-setsize", state.shown.length);
  made.setAttribute("aria-posinset", place + 1);
  made.setAttribute("aria-selected", String(i === state.chosen));
  made.style.top = `${place * rowHeight()}px`;
  made.style.height = `${rowHeight()}px`;
  made.addEventListener("click", () => { choose(i); at("list").focus({ preventScroll: true }); });
  return made;
}

function drawRows() {
  const box = at("list");
  const height = rowHeight();
  const first = Math.max(0, Math.floor(box.scrollTop / height) - 4);
  const last = Math.min(state.shown.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + 4);
  const rows = [];
  for (let place = first; place < last; place += 1) rows.push(row(place));
  at("rows").replaceChildren(...rows);
  const place = placeOf(state.chosen);
  if (place >= first && place < last) box.setAttribute("aria-activedescendant", `row-${place}`);
  else box.removeAttribute("aria-activedescendant");
}

const placeOf = (i) => (state.place.has(i) ? state.place.get(i) : -1);

function scrollToRow(place) {
  const box = at("list");
  const top = place * rowHeight();
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + rowHeight() > box.scrollTop + box.clientHeight) box.scrollTop = top + rowHeight() - box.clientHeight;
}

// The text `step` rows further; the first one where none is chosen.
function move(step) {
  if (!state.shown.length) return;
  const place = placeOf(state.chosen);
  choose(state.shown[place < 0 ? 0 : Math.max(0, Math.min(state.shown.length - 1, place + step))]);
}
