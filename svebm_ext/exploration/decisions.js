// Decisions ----------------------------------------------------------------------------------------------------------
// What the reader has decided: names and hidden symbols by number, names of groups and groups that are open by theirs,
// marks by the id of a text, classes of their own.
// A mark is "right", "wrong", "s:3" (belongs to the topic of symbol 3) or "c:NAME" (a class of the reader's own).
// Every change makes new maps, so that undoing is taking the former ones.

const KEY = `svebm-explore:${data.run}`;
const UNDONE = 200;
const GROUPING = symbols.map((symbol) => `${symbol.number}:${symbol.group}`).sort().join(); // names of groups belong to it
const fresh = () => ({
  names: new Map(), hidden: new Set(), groupNames: new Map(), opened: new Set(), marks: new Map(), classes: [],
});
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
  if (plain.grouping === idOf(GROUPING)) {
    for (const [g, name] of entries(plain.groupNames)) {
      if (groups[g] && typeof name === "string") made.groupNames.set(Number(g), name);
    }
    for (const g of Object.values(plain.opened || {})) if (groups[g]) made.opened.add(g);
  }
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
  const { names, hidden, groupNames, opened, marks, classes } = decisions;
  try {
    localStorage.setItem(KEY, JSON.stringify({
      names: Object.fromEntries(names), hidden: [...hidden], marks: Object.fromEntries(marks), classes,
      groupNames: Object.fromEntries(groupNames), opened: [...opened], grouping: idOf(GROUPING),
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

// Parts of a topic are symbols, or whole groups that are closed: the name is one of the group then.
function rename(parts, name) {
  const ofGroups = parts.filter((part) => part.group >= 0).map((part) => [part.group, clean(name)]);
  const ofSymbols = parts.filter((part) => part.group < 0).map((part) => [part.members[0].number, clean(name)]);
  decide({
    names: withEntries(decisions.names, ofSymbols), groupNames: withEntries(decisions.groupNames, ofGroups),
  }, "topics");
}

function openGroups(numbers, open) {
  const opened = new Set(decisions.opened);
  for (const g of numbers) {
    if (open) opened.add(g);
    else opened.delete(g);
  }
  decide({ opened }, "topics");
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

// Topics: symbols of one name are one, and so are the symbols of a group that is closed, but for those with a name of
// their own. Each is known by the rank of its largest symbol, which gives it sign and place.
const topics = { all: [], of: new Map() };

function makeTopics() {
  const byName = new Map();
  topics.all = [];
  symbols.forEach((symbol, rank) => {
    const chosen = decisions.names.get(symbol.number);
    const own = chosen === undefined ? symbol.name : chosen;
    const hidden = decisions.hidden.has(symbol.number);
    const closed = !own && symbol.group >= 0 && !decisions.opened.has(symbol.group) ? symbol.group : -1;
    const name = own || (closed >= 0 && decisions.groupNames.get(closed)) || "";
    const key = name || closed < 0 ? `${hidden} ${name}` : `${hidden} group ${closed}`;
    let topic = (name || closed >= 0) && byName.get(key);
    if (!topic) {
      topic = { rank, name, hidden, chosen: Boolean(chosen), members: [], parts: [], n: 0, title: "" };
      topics.all.push(topic);
      if (name || closed >= 0) byName.set(key, topic);
    }
    topic.members.push(symbol);
    const part = closed >= 0 && topic.parts.find((known) => known.group === closed);
    if (part) part.members.push(symbol);
    else topic.parts.push({ group: closed, members: [symbol] });
    topic.n += symbol.n;
    topics.of.set(symbol.number, topic);
  });
  const titles = new Set(topics.all.map((topic) => topic.name));
  for (const topic of topics.all) {
    const [first] = topic.members;
    const group = topic.parts[0].group >= 0 ? groups[topic.parts[0].group] : null;
    const words = (group || first).words.slice(0, 3).join(", ");
    const called = group ? group.number : first.id;
    topic.title = topic.name || words || `${group ? "group" : "topic"} ${called}`;
    if (!topic.name && titles.has(topic.title)) topic.title += ` (${called})`;
    titles.add(topic.title);
    // Where a symbol without a name is in a group that has one, that is its class.
    topic.className = topic.name || decisions.groupNames.get(first.group) || topic.title;
  }
}

// The group that a topic is, as long as it is closed; -1 of any other topic.
const groupOf = (topic) => (topic.parts.length === 1 ? topic.parts[0].group : -1);
const groupTitle = (g) => decisions.groupNames.get(g) || groups[g].words.slice(0, 3).join(", ") || `group ${g}`;
const topicOf = (i) => topics.of.get(sentences[i].symbol);
const shownTopics = () => topics.all.filter((topic) => !topic.hidden && (topic.n || topic.name));
const hiddenTopics = () => topics.all.filter((topic) => topic.hidden);

// Classes that a text can be marked with: topics, then the reader's own.
function classes() {
  const own = decisions.classes.filter((name) => !topics.all.some((topic) => !topic.hidden && topic.className === name));
  return [
    ...shownTopics().map((topic) => ({ title: topic.title, className: topic.className, mark: `s:${topic.members[0].number}`, rank: topic.rank })),
    ...own.map((title) => ({ title, className: title, mark: `c:${title}`, rank: -1 })),
  ];
}

// The class that a mark gives a text: null for one that is only known to be wrong, undefined without a mark.
function classOf(i) {
  const mark = markOf(i);
  if (mark === undefined) return undefined;
  if (mark === "wrong") return null;
  if (mark === "right") return topicOf(i) ? topicOf(i).className : null;
  return mark.startsWith("s:") ? topics.of.get(Number(mark.slice(2))).className : mark.slice(2);
}
