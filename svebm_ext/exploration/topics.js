// Topics -------------------------------------------------------------------------------------------------------------
// The first screen: a card a topic, with its size, name and texts.

const TEXTS = 3;
const chosenTopics = new Set(); // ranks of the cards that are ticked

function topicTexts(topic) {
  const rows = [];
  for (let place = 0; rows.length < TEXTS && place < 6; place += 1) {
    for (const member of topic.members) if (member.texts[place] !== undefined) rows.push(member.texts[place]);
  }
  return rows.slice(0, TEXTS);
}

function symbolNumbers(topic) {
  const numbers = topic.members.map((member) => member.number).sort((a, b) => a - b);
  return `${numbers.length > 1 ? "symbols" : "symbol"} ${numbers.join(", ")}`;
}

function topicWords(topic) {
  const words = topic.members.flatMap((member) => member.words.map((word, place) => [place, word]));
  const distinct = [...new Set(words.sort((a, b) => a[0] - b[0]).map(([, word]) => word))];
  return topic.name ? distinct.slice(0, 8) : distinct.slice(3, 8); // the first three are its title
}

function showTexts(topic) {
  at("filter").value = `t${topic.rank}`;
  at("query").value = "";
  list();
  at("texts").scrollIntoView();
  at("list").focus({ preventScroll: true });
}

function nameField(topic) {
  const numbers = topic.members.map((member) => member.number);
  const field = element("input", {
    className: "topic-name", value: topic.name, placeholder: topic.title, autocomplete: "off", id: `name-${topic.rank}`,
  });
  field.setAttribute("aria-label", `Name of the topic ${topic.title}`);
  field.addEventListener("change", () => {
    const name = clean(field.value);
    const others = shownTopics().filter((other) => other.name === name && other.rank !== topic.rank);
    rename(numbers, name);
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
  if (topic.members.length > 1) {
    tools.append(element("span", { className: "parts" }, "merged of ", ...topic.members.map((member) => {
      const words = member.words.slice(0, 2).join(", ") || member.number;
      return button(`${words} ×`, () => rename([member.number], ""), { title: "Take it out of the topic" });
    })));
  }
  return element("article", { className: "topic", id: `topic-${topic.rank}` },
    element("div", { className: "topic-top" }, sign(topic.hidden ? -1 : topic.rank), size, bar,
      topic.hidden ? "" : element("label", { className: "tick" }, box)),
    nameField(topic),
    element("p", { className: "topic-words", textContent: topicWords(topic).join(", ") || "no other word stands out" }),
    element("ol", { className: "topic-texts" }, ...texts), tools);
}

function drawTopics() {
  const focused = document.activeElement && document.activeElement.id;
  makeTopics();
  const shown = shownTopics();
  const hidden = hiddenTopics();
  for (const rank of chosenTopics) if (!shown.some((topic) => topic.rank === rank)) chosenTopics.delete(rank);
  at("merge").disabled = chosenTopics.size < 2;
  shown.sort((a, b) => b.n - a.n || a.rank - b.rank);
  at("topic-list").replaceChildren(...shown.map(topicCard));
  at("hidden-list").replaceChildren(...hidden.map(topicCard));
  at("hidden-topics").hidden = !hidden.length;
  at("hidden-count").textContent = `${hidden.length} hidden`;
  if (symbols.length) {
    const n = `${shown.length} ${shown.length === 1 ? "topic" : "topics"}`;
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
  rename(chosen.flatMap((topic) => topic.members.map((member) => member.number)), named.name || named.title);
  tell(`${chosen.length} topics are one now. Give it a name, or undo.`);
  const field = at(`name-${rank}`);
  if (field) { field.focus(); field.select(); }
}
