// Decisions ----------------------------------------------------------------------------------------------------------
// What the reader has decided: names and hidden symbols by number, marks by the id of a text, classes of their own.
// A mark is "right", "wrong", "s:3" (belongs to the topic of symbol 3) or "c:NAME" (a class of the reader's own).
// Every change makes new maps, so that undoing is taking the former ones.

const KEY = `svebm-explore:${data.run}`;
const UNDONE = 200;
const fresh = () => ({ names: new Map(), hidden: new Set(), marks: new Map(), classes: [] });
let decisions = fresh();
const former = [];
let kept = true; // whether the browser keeps decisions
let unsaved = false; // whether there are some that are in no file, where it does not
const listeners = [];

const knownSymbol = (k) => rankOf.has(k);

// Decisions of plain data, whatever they hold; what is no decision is left out.
function decisionsOf(plain) {
  const made = fresh();
  const entries = (value) => (value && typeof value === "object" ? Object.entries(value) : []);
  for (const [k, name] of entries(plain.names)) {
    if (knownSymbol(Number(k)) && typeof name === "string") made.names.set(Number(k), name);
  }
  for (const k of Object.values(plain.hidden || {})) if (knownSymbol(k)) made.hidden.add(k);
  for (const [id, mark] of entries(plain.marks)) {
    const symbol = typeof mark === "string" && mark.startsWith("s:") ? Number(mark.slice(2)) : null;
    if (mark === "right" || mark === "wrong" || (symbol === null ? /^c:./.test(mark) : knownSymbol(symbol))) {
      made.marks.set(id, mark);
    }
  }
  made.classes = Object.values(plain.classes || {}).filter((name) => typeof name === "string" && name);
  return made;
}

function readKept() {
  try {
    const text = localStorage.getItem(KEY);
    localStorage.setItem(KEY, text === null ? "{}" : text); // whether it can be written is found out here
    decisions = decisionsOf(JSON.parse(text || "{}") || {});
  } catch (error) {
    if (error instanceof SyntaxError) return;
    notKept();
  }
}

function notKept() {
  kept = false;
  at("storage").hidden = false;
  at("storage").textContent =
    "This browser keeps nothing for this page. Save symbols.json and labels.tsv before you close it.";
}

function keep() {
  unsaved = true;
  if (!kept) return;
  const { names, hidden, marks, classes } = decisions;
  try {
    localStorage.setItem(KEY, JSON.stringify({
      names: Object.fromEntries(names), hidden: [...hidden], marks: Object.fromEntries(marks), classes,
    }));
  } catch {
    notKept();
  }
}

// Take new decisions, parts of which may be given; `what` says which parts of the page change: "topics" or "marks".
function decide(changes, what) {
  former.push([decisions, what]);
  if (former.length > UNDONE) former.shift();
  decisions = { ...decisions, ...changes };
  keep();
  changed(what);
}

function undo() {
  if (!former.length) return tell("Nothing to undo.");
  const [before, what] = former.pop();
  decisions = before;
  keep();
  changed(what);
  return tell("Undone.");
}

function changed(what) {
  at("undo").disabled = !former.length;
  for (const listener of listeners) listener(what);
}

const withEntries = (map, entries) => new Map([...map, ...entries]);
const clean = (text) => text.replace(/\s+/g, " ").trim();

function rename(numbers, name) {
  decide({ names: withEntries(decisions.names, numbers.map((k) => [k, clean(name)])) }, "topics");
}

function hide(numbers, hidden) {
  const chosen = new Set(decisions.hidden);
  for (const k of numbers) {
    if (hidden) chosen.add(k);
    else chosen.delete(k);
  }
  decide({ hidden: chosen }, "topics");
}

// `mark` of null takes the mark away.
function markText(i, mark) {
  const marks = new Map(decisions.marks);
  if (mark === null) marks.delete(sentences[i].id);
  else marks.set(sentences[i].id, mark);
  decide({ marks }, "marks");
}

const markOf = (i) => decisions.marks.get(sentences[i].id);

// Topics: symbols of one name are one. Each is known by the rank of its largest symbol, which gives it sign and place.
const topics = { all: [], of: new Map() };

function makeTopics() {
  const byName = new Map();
  topics.all = [];
  symbols.forEach((symbol, rank) => {
    const chosen = decisions.names.get(symbol.number);
    const name = chosen === undefined ? symbol.name : chosen;
    const hidden = decisions.hidden.has(symbol.number);
    const key = `${hidden} ${name}`;
    let topic = name && byName.get(key);
    if (!topic) {
      topic = { rank, name, hidden, chosen: Boolean(chosen), members: [], n: 0, title: "" };
      topics.all.push(topic);
      if (name) byName.set(key, topic);
    }
    topic.members.push(symbol);
    topic.n += symbol.n;
    topics.of.set(symbol.number, topic);
  });
  const titles = new Set(topics.all.map((topic) => topic.name));
  for (const topic of topics.all) {
    const [first] = topic.members;
    topic.title = topic.name || first.words.slice(0, 3).join(", ") || `topic ${first.number}`;
    if (!topic.name && titles.has(topic.title)) topic.title += ` (${first.number})`;
    titles.add(topic.title);
  }
}

const topicOf = (i) => topics.of.get(sentences[i].symbol);
const shownTopics = () => topics.all.filter((topic) => !topic.hidden && (topic.n || topic.name));
const hiddenTopics = () => topics.all.filter((topic) => topic.hidden);

// Classes that a text can be marked with: topics, then the reader's own.
function classes() {
  const own = decisions.classes.filter((name) => !topics.all.some((topic) => !topic.hidden && topic.title === name));
  return [
    ...shownTopics().map((topic) => ({ title: topic.title, mark: `s:${topic.members[0].number}`, rank: topic.rank })),
    ...own.map((title) => ({ title, mark: `c:${title}`, rank: -1 })),
  ];
}

// The class that a mark gives a text: null for one that is only known to be wrong, undefined without a mark.
function classOf(i) {
  const mark = markOf(i);
  if (mark === undefined) return undefined;
  if (mark === "wrong") return null;
  if (mark === "right") return topicOf(i) ? topicOf(i).title : null;
  return mark.startsWith("s:") ? topics.of.get(Number(mark.slice(2))).title : mark.slice(2);
}
