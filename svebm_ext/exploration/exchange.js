// Files --------------------------------------------------------------------------------------------------------------
// labels.tsv, which `train lines --data.labelled` reads, and symbols.json: written, and read back.

const HEADERS = { label: ["label", "class", "category", "intent"], text: ["text", "sentence", "utterance", "content"] };

// Rows of (class, text), each text once: what is marked, and the most certain unmarked texts of each named topic.
function labelRows(nCertain) {
  const rows = new Map();
  sentences.forEach((sentence, i) => {
    const name = classOf(i);
    if (name && !rows.has(sentence.text)) rows.set(sentence.text, name);
  });
  const hasName = (topic) => topic.name || topic.className !== topic.title;
  const left = new Map(nCertain ? shownTopics().filter(hasName).map((topic) => [topic, nCertain]) : []);
  if (left.size) {
    for (const i of orders.certain()) {
      const topic = topicOf(i);
      const { text } = sentences[i];
      if (!left.get(topic) || markOf(i) !== undefined || rows.has(text)) continue;
      rows.set(text, topic.className);
      left.set(topic, left.get(topic) - 1);
    }
  }
  return [...rows].map(([text, name]) => [name, text]);
}

// Where a field begins with a quote, a reader of tables may take it for syntax: then all quotes are written as such.
function labelsFile(rows) {
  const header = ["label", "text"].map((kind, column) => {
    const taken = new Set(rows.map((row) => row[column].toLowerCase()));
    return HEADERS[kind].find((name) => !taken.has(name)) || kind;
  });
  const quoted = rows.some((row) => row.some((field) => field.startsWith('"')));
  const field = (text) => (quoted && text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text);
  return [header, ...rows].map((row) => `${row.map((text) => field(clean(text))).join("\t")}\n`).join("");
}

function symbolsFile() {
  const chosen = {};
  const ofGroups = {};
  for (const { number: k, id, group } of symbols) {
    // Groups of this page alone mean nothing to a command: their names are those of their symbols.
    const name = decisions.names.get(k) || (!data.groupsKept && decisions.groupNames.get(group));
    const hidden = decisions.hidden.has(k);
    if (name || hidden) chosen[id] = hidden ? { name: name || "", hidden: true } : { name };
  }
  if (data.groupsKept) for (const [g, name] of decisions.groupNames) if (name) ofGroups[g] = { name };
  const content = Object.keys(ofGroups).length ? { format: 1, groups: ofGroups, symbols: chosen } : { format: 1, symbols: chosen };
  return `${JSON.stringify(content, null, 1)}\n`;
}

function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  unsaved = false;
}

function saveLabels() {
  const rows = labelRows(Number(at("certain").value));
  if (!rows.length) {
    return tell("No text has a class yet: mark some (r, 1 to 9), or name topics and take unread texts of them.");
  }
  save("labels.tsv", labelsFile(rows), "text/tab-separated-values");
  const names = new Set(rows.map(([name]) => name));
  const few = names.size < 2 ? " train needs at least two classes." : "";
  return tell(`labels.tsv: ${number(rows.length)} texts of ${names.size} ${names.size === 1 ? "class" : "classes"}.${few}`);
}

function saveSymbols() {
  const text = symbolsFile();
  save("symbols.json", text, "application/json");
  const { symbols: named, groups: ofGroups = {} } = JSON.parse(text);
  const n = Object.keys(ofGroups).length;
  const groupsToo = n ? `${n} ${n === 1 ? "group" : "groups"} with a name, ` : "";
  tell(`symbols.json: ${groupsToo}${Object.keys(named).length} symbols with a name, or hidden.`);
}

// Fields of a line of tab-separated values; quotes as `labelsFile` writes them.
function fieldsOf(line, quoted) {
  return line.split("\t").map((field) => (
    quoted && /^".*"$/s.test(field) ? field.slice(1, -1).replaceAll('""', '"') : field));
}

function loadLabels(text) {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/).filter((line) => line.trim());
  const quoted = lines.some((line) => /(^|\t)"([^"\t]|"")*""([^"\t]|"")*"(?=\t|$)/.test(line));
  const rows = lines.map((line) => fieldsOf(line, quoted));
  const isHeader = rows.length && HEADERS.label.includes(rows[0][0].toLowerCase()) && HEADERS.text.includes(rows[0][1]);
  const known = new Map(sentences.map((sentence, i) => [sentence.text, i]));
  const titles = new Map(classes().map(({ className, mark }) => [className, mark]));
  const marks = new Map(decisions.marks);
  const own = new Set(decisions.classes);
  let n = 0;
  let unknown = 0;
  for (const [label, sentence] of isHeader ? rows.slice(1) : rows) {
    const i = sentence === undefined ? undefined : known.get(clean(sentence));
    const name = clean(label);
    if (i === undefined || !name) {
      unknown += 1;
      continue;
    }
    if (!titles.has(name)) own.add(name);
    const right = topicOf(i) && topicOf(i).className === name && !topicOf(i).hidden;
    marks.set(sentences[i].id, right ? "right" : titles.get(name) || `c:${name}`);
    n += 1;
  }
  decide({ marks, classes: [...own] }, "topics");
  return `${number(n)} labels loaded${unknown ? `; ${number(unknown)} lines are of no text of this page` : ""}`;
}

function loadSymbols(text) {
  const parsed = JSON.parse(text);
  if (!parsed || parsed.format !== 1 || !parsed.symbols || typeof parsed.symbols !== "object") {
    throw new Error('expected {"format": 1, "symbols": {...}}');
  }
  const names = new Map(decisions.names);
  const hidden = new Set(decisions.hidden);
  const groupNames = new Map(decisions.groupNames);
  let n = 0;
  let unknown = 0;
  for (const [g, entry] of Object.entries(parsed.groups || {})) {
    if (data.groupsKept && groups[g] && entry && typeof entry.name === "string") {
      groupNames.set(Number(g), clean(entry.name));
      n += 1;
    } else unknown += 1;
  }
  for (const [id, entry] of Object.entries(parsed.symbols)) {
    const k = numberOf.has(id) ? numberOf.get(id) : Number(/^\d+$/.test(id) ? id : NaN);
    if (!knownSymbol(k) || !entry || typeof entry !== "object") {
      unknown += 1;
      continue;
    }
    if (typeof entry.name === "string") names.set(k, clean(entry.name));
    if (entry.hidden === true) hidden.add(k);
    else hidden.delete(k);
    n += 1;
  }
  decide({ names, hidden, groupNames }, "topics");
  return `${number(n)} ${groups.length ? "names" : "symbols"} loaded${unknown ? `; ${number(unknown)} are not of this model` : ""}`;
}

// Symbols before labels, whose classes may be their names.
async function loadFiles(files) {
  const isJson = (file) => file.name.toLowerCase().endsWith(".json");
  const told = [];
  for (const file of [...files].sort((a, b) => isJson(b) - isJson(a))) {
    try {
      const text = await file.text();
      told.push(`${file.name}: ${isJson(file) ? loadSymbols(text) : loadLabels(text)}`);
    } catch (error) {
      told.push(`${file.name}: not read, ${error.message}`);
    }
  }
  tell(`${told.join(". ")}.`);
}
