// Topics -------------------------------------------------------------------------------------------------------------
// The first screen: a card a topic, with its size, name and texts.

const TEXTS = 3;
const WITHIN = 4; // topics that the card of a group names
const chosenTopics = new Set(); // ranks of the cards that are ticked

function topicTexts(topic) {
  if (groupOf(topic) >= 0) return groups[groupOf(topic)].texts.filter((i) => topicOf(i) === topic).slice(0, TEXTS);
  const rows = [];
  for (let place = 0; rows.length < TEXTS && place < 6; place += 1) {
    for (const member of topic.members) if (member.texts[place] !== undefined) rows.push(member.texts[place]);
  }
  return rows.slice(0, TEXTS);
}

function symbolNumbers(topic) {
  if (groupOf(topic) >= 0) return `group ${groupOf(topic)}`;
  const ids = topic.members.map((member) => member.id).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return `${ids.length > 1 ? "symbols" : "symbol"} ${ids.join(", ")}`;
}

function topicWords(topic) {
  if (groupOf(topic) >= 0) return groups[groupOf(topic)].words.slice(topic.name ? 0 : 3, 8);
  const words = topic.members.flatMap((member) => member.words.map((word, place) => [place, word]));
  const distinct = [...new Set(words.sort((a, b) => a[0] - b[0]).map(([, word]) => word))];
  return topic.name ? distinct.slice(0, 8) : distinct.slice(3, 8); // the first three are its title
}

const showTexts = (topic) => showFiltered(`t${topic.rank}`);

function showFiltered(value) {
  at("filter").value = value;
  at("query").value = "";
  list();
  at("texts").scrollIntoView();
  at("list").focus({ preventScroll: true });
}

function nameField(topic) {
  const field = element("input", {
    className: "topic-name", value: topic.name, placeholder: topic.title, autocomplete: "off", id: `name-${topic.rank}`,
  });
  field.setAttribute("aria-label", `Name of the topic ${topic.title}`);
  field.addEventListener("change", () => {
    const name = clean(field.value);
    const others = shownTopics().filter((other) => other.name === name && other.rank !== topic.rank);
    rename(topic.parts, name);
    if (name && others.length) tell(`Merged: both are “${name}” now. Undo takes it back.`);
    else if (name) tell(`Named “${name}”.`);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") field.blur();
    if (event.key === "Escape") { field.value = topic.name; field.blur(); }
  });
  return field;
}

function topicCard(topic) {
  const numbers = topic.members.map((member) => member.number);
  const share = sentences.length ? (100 * topic.n) / sentences.length : 0;
  const box = element("input", { type: "checkbox", checked: chosenTopics.has(topic.rank) });
  box.setAttribute("aria-label", `Choose ${topic.title}, to merge it`);
  box.addEventListener("change", () => {
    if (box.checked) chosenTopics.add(topic.rank);
    else chosenTopics.delete(topic.rank);
    at("merge").disabled = chosenTopics.size < 2;
  });
  const bar = element("span", { className: "bar" }, element("i", {}));
  bar.firstChild.style.width = `${share.toFixed(1)}%`;
  const size = element("span", { className: "size", textContent: `${number(topic.n)} texts · ${share.toFixed(share < 10 ? 1 : 0)} % · ${symbolNumbers(topic)}` });
  const texts = topicTexts(topic).map((i) => element("li", { textContent: sentences[i].text }));
  const tools = element("div", { className: "card-tools" },
    button(`Show its ${number(topic.n)} texts`, () => showTexts(topic), { disabled: !topic.n }),
    button(topic.hidden ? "Show again" : "Hide", () => hide(numbers, !topic.hidden)));
  const isGroup = groupOf(topic) >= 0;
  if (isGroup && !topic.hidden) {
    const n = topic.members.length;
    tools.prepend(button(n > 1 ? `Open its ${n} topics` : "Open", () => openGroup(groupOf(topic)), { id: `open-${groupOf(topic)}` }));
  } else if (topic.parts.length > 1) {
    tools.append(element("span", { className: "parts" }, "merged of ", ...topic.parts.map((part) => {
      const { words, id } = part.group >= 0 ? { ...groups[part.group], id: `group ${part.group}` } : part.members[0];
      const title = words.slice(0, 2).join(", ") || id;
      return button(`${title} ×`, () => rename([part], ""), { title: "Take it out of the topic" });
    })));
  }
  return element("article", { className: isGroup ? "topic group" : "topic", id: `topic-${topic.rank}` },
    element("div", { className: "topic-top" }, sign(topic.hidden ? -1 : topic.rank), size, bar,
      topic.hidden ? "" : element("label", { className: "tick" }, box)),
    nameField(topic),
    element("p", { className: "topic-words", textContent: topicWords(topic).join(", ") || "no other word stands out" }),
    isGroup ? element("p", { className: "topic-within" }, ...within(topic)) : "",
    element("ol", { className: "topic-texts" }, ...texts), tools);
}

// The largest topics of a closed group, a name and a share each.
function within(topic) {
  const own = topic.members.filter((member) => member.n);
  const lines = own.slice(0, WITHIN).map((member) => {
    const words = member.words.slice(0, 2).join(", ") || `topic ${member.id}`;
    return element("span", {}, words, element("small", { textContent: ` ${((100 * member.n) / topic.n).toFixed(0)} %` }));
  });
  if (own.length > WITHIN) lines.push(element("span", {}, element("small", { textContent: `and ${own.length - WITHIN} more` })));
  return lines;
}

function openGroup(g) {
  openGroups([g], true);
  const close = at(`close-${g}`);
  if (close) close.focus();
  tell(`${groupTitle(g)} is open: its topics can be named one by one. Close puts them together again.`);
}

function closeGroup(g) {
  openGroups([g], false);
  const open = at(`open-${g}`);
  if (open) open.focus();
}

// Above the topics of a group that is open.
function groupHead(g, own) {
  const n = symbols.filter((symbol) => symbol.group === g).reduce((sum, symbol) => sum + symbol.n, 0);
  const size = `group ${g} · ${number(n)} texts · ${own.length} ${own.length === 1 ? "topic" : "topics"}`;
  return element("div", { className: "group-head", id: `group-${g}` },
    element("h3", { textContent: groupTitle(g) }), element("span", { className: "size", textContent: size }),
    button(`Show its ${number(n)} texts`, () => showFiltered(`g${g}`)),
    button("Close", () => closeGroup(g), { id: `close-${g}` }));
}

// Cards, largest first; the topics of an open group stay together below its name.
function cards(shown) {
  const blocks = new Map();
  for (const topic of shown) {
    const [{ group }] = topic.members;
    const open = groupOf(topic) < 0 && topic.members.every((member) => member.group === group) && decisions.opened.has(group);
    const key = open ? `g${group}` : `t${topic.rank}`;
    if (!blocks.has(key)) blocks.set(key, { n: 0, rank: topic.rank, group: open ? group : -1, topics: [] });
    const block = blocks.get(key);
    block.n += topic.n;
    block.topics.push(topic);
  }
  const order = [...blocks.values()].sort((a, b) => b.n - a.n || a.rank - b.rank);
  return order.flatMap(({ group, topics: own }) => [
    ...(group >= 0 ? [groupHead(group, own)] : []), ...own.map(topicCard), ...(group >= 0 ? [element("div", { className: "group-end" })] : []),
  ]);
}

function countOf(shown) {
  const closed = shown.filter((topic) => groupOf(topic) >= 0);
  const plural = (n, what) => `${number(n)} ${n === 1 ? what : `${what}${what.endsWith("class") ? "es" : "s"}`}`;
  const what = data.learnt ? "class" : "topic";
  if (!closed.length) return plural(shown.length, what);
  const within = closed.reduce((sum, topic) => sum + topic.members.filter((member) => member.n).length, 0);
  const others = shown.length - closed.length;
  return `${plural(closed.length, "group")} of ${plural(within, what)}${others ? `, ${plural(others, `other ${what}`)}` : ""}`;
}

function drawTopics() {
  const focused = document.activeElement && document.activeElement.id;
  makeTopics();
  const shown = shownTopics();
  const hidden = hiddenTopics();
  for (const rank of chosenTopics) if (!shown.some((topic) => topic.rank === rank)) chosenTopics.delete(rank);
  at("merge").disabled = chosenTopics.size < 2;
  shown.sort((a, b) => b.n - a.n || a.rank - b.rank);
  at("topic-list").replaceChildren(...cards(shown));
  at("levels").hidden = !groups.length;
  at("levels").textContent = decisions.opened.size < groups.length ? "Open groups" : "Close groups";
  at("hidden-list").replaceChildren(...hidden.map(topicCard));
  at("hidden-topics").hidden = !hidden.length;
  at("hidden-count").textContent = `${hidden.length} hidden`;
  if (symbols.length) {
    const n = countOf(shown);
    at("topic-count").textContent = hidden.length ? `${n}, ${hidden.length} hidden` : n;
  }
  if (focused && focused.startsWith("name-") && at(focused)) at(focused).focus({ preventScroll: true });
}

// The topics that are ticked become one, under the name of the first that has one, else under its words.
function mergeChosen() {
  const chosen = shownTopics().filter((topic) => chosenTopics.has(topic.rank)).sort((a, b) => b.n - a.n);
  if (chosen.length < 2) return;
  const named = chosen.find((topic) => topic.name) || chosen[0];
  const { rank } = chosen.reduce((least, topic) => (topic.rank < least.rank ? topic : least));
  chosenTopics.clear();
  rename(chosen.flatMap((topic) => topic.parts), named.name || named.title);
  tell(`${chosen.length} topics are one now. Give it a name, or undo.`);
  const field = at(`name-${rank}`);
  if (field) { field.focus(); field.select(); }
}
