// Marks --------------------------------------------------------------------------------------------------------------
// The chosen text, and what the reader says of it.

const DIGITS = 9;

// Choose a text (-1: none): the list and the map show where it is.
function choose(i) {
  state.chosen = i;
  if (placeOf(i) >= 0) scrollToRow(placeOf(i));
  drawRows();
  drawChosen();
  drawRings();
}

function drawChosen() {
  const i = state.chosen;
  const box = at("selected");
  const bar = at("marks");
  bar.classList.toggle("off", i < 0);
  for (const control of bar.querySelectorAll("button")) control.disabled = i < 0;
  if (i < 0) {
    box.textContent = "No text chosen: j takes the first.";
    return;
  }
  const { entropy, novelty, symbol } = sentences[i];
  const parts = [noteOf(i)];
  if (symbol >= 0) parts.push(`entropy ${entropy.toFixed(2)} nats`);
  parts.push(`distance to the nearest ${novelty.toFixed(2)} of the mean`);
  box.replaceChildren(element("div", { textContent: sentences[i].text }),
    element("small", {}, markSign(i), ` ${parts.join(" · ")} `));
  if (symbol >= 0) box.append(" ", element("a", { href: `#symbol-${symbol}`, textContent: "its symbol" }));
  at("right").disabled = at("wrong").disabled = symbol < 0;
  const mark = markOf(i);
  at("right").setAttribute("aria-pressed", String(mark === "right"));
  at("wrong").setAttribute("aria-pressed", String(mark === "wrong"));
  for (const made of at("classes").children) made.setAttribute("aria-pressed", String(made.dataset.mark === mark));
}

function drawClasses() {
  at("classes").replaceChildren(...classes().map(({ title, mark, rank }, place) => {
    const made = button("", () => giveMark(mark));
    made.dataset.mark = mark;
    if (place < DIGITS) made.append(element("kbd", { textContent: place + 1 }), " ");
    if (rank >= 0) made.append(sign(rank), " ");
    made.append(title);
    return made;
  }));
  drawChosen();
}

// Mark the chosen text and go on to the next one of the list.
function giveMark(mark) {
  const i = state.chosen;
  if (i < 0) return tell("No text is chosen: j takes the first of the list.");
  if ((mark === "right" || mark === "wrong") && sentences[i].symbol < 0) return tell("This model has no topics to be right about.");
  markText(i, mark);
  if (mark !== null && placeOf(i) >= 0) move(1);
  return undefined;
}

function addClass(name) {
  const title = clean(name);
  if (!title || classes().some((known) => known.title === title)) return;
  decide({ classes: [...decisions.classes, title] }, "classes");
}

function markByDigit(digit) {
  const wanted = classes()[digit - 1];
  if (digit === 0) giveMark(null);
  else if (wanted) giveMark(wanted.mark);
  else tell(`There is no class ${digit} yet: add one beside the text.`);
}
