// Controls, and the start of the page --------------------------------------------------------------------------------

function fillSelects() {
  const group = (label, options) => at("filter").append(element("optgroup", { label }, ...options));
  const before = at("filter").value;
  at("filter").replaceChildren(option("", "all topics"));
  if (symbols.length) {
    group("topic", shownTopics().filter((topic) => topic.n).map((topic) => option(`t${topic.rank}`, topic.title)));
    const open = [...decisions.opened].sort((a, b) => a - b);
    if (open.length) group("open group", open.map((g) => option(`g${g}`, groupTitle(g))));
    if (hiddenTopics().length) at("filter").append(option("h", "hidden topics"));
  }
  data.fields.forEach((field, column) => {
    group(field.name, field.values.map((value, i) => option(`l${column}:${i}`, value)));
  });
  if ([...at("filter").options].some((known) => known.value === before)) at("filter").value = before;
}

function fillControls() {
  data.views.forEach((view, i) => at("view").append(option(i, view.name)));
  colourings.forEach((known, i) => at("colour").append(option(i, known.name)));
  at("prior-label").hidden = data.views.every((view) => view.prior.length === 0);
  at("split").append(option("", "all"), ...data.sizes.map(([name, shown]) => (
    option(data.splits.indexOf(name), `${name} (${number(shown)})`))));
  for (const [value, name] of Object.entries(MARKS)) at("marked").append(option(value, name));
  for (const [value, name] of Object.entries(ORDER_NAMES)) {
    if (symbols.length || ["novel", "file"].includes(value)) at("order").append(option(value, name));
  }
  if (!symbols.length) at("topic-tools").classList.add("few");
}

function showView() {
  const view = data.views[state.view];
  at("view-note").textContent = `${view.name}: ${view.note}.`;
  draw();
}

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  if (target) target.scrollIntoView();
}

for (const badge of document.querySelectorAll(".badge")) badge.classList.add(`c${badge.dataset.rank % COLOURS}`);

listeners.push((what) => {
  if (what === "topics") {
    drawTopics();
    fillSelects();
    legend();
    list();
    if (placeOf(state.chosen) >= 0) scrollToRow(placeOf(state.chosen));
  } else {
    drawRows();
    at("count").textContent = counted(state.shown.length);
  }
  drawClasses();
});

at("view").addEventListener("change", (event) => { state.view = Number(event.target.value); showView(); });
at("colour").addEventListener("change", (event) => { state.colouring = Number(event.target.value); legend(); draw(); });
at("prior").addEventListener("change", draw);
at("zoom-in").addEventListener("click", () => zoomBy(1.5));
at("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
at("zoom-reset").addEventListener("click", () => zoomBy(0));
at("legend-all").addEventListener("click", () => allOrNone(true));
at("legend-none").addEventListener("click", () => allOrNone(false));
at("query").addEventListener("input", list);
for (const id of ["filter", "split", "marked", "order"]) at(id).addEventListener("change", list);
at("list").addEventListener("scroll", () => requestAnimationFrame(drawRows));
at("merge").addEventListener("click", mergeChosen);
at("undo").addEventListener("click", undo);
at("levels").addEventListener("click", () => {
  openGroups(groups.map((group) => group.number), decisions.opened.size < groups.length);
});
at("save-symbols").addEventListener("click", saveSymbols);
at("save-labels").addEventListener("click", saveLabels);
at("load").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", async (event) => { await loadFiles(event.target.files); event.target.value = ""; });
at("show-help").addEventListener("click", () => at("help").showModal());
at("right").addEventListener("click", () => giveMark("right"));
at("wrong").addEventListener("click", () => giveMark("wrong"));
at("clear").addEventListener("click", () => giveMark(null));
at("new-class").addEventListener("change", (event) => { addClass(event.target.value); event.target.value = ""; });
const openAll = (open) => document.querySelectorAll(".symbol").forEach((symbol) => { symbol.open = open; });
at("open-all").addEventListener("click", () => openAll(true));
at("close-all").addEventListener("click", () => openAll(false));
document.addEventListener("click", (event) => {
  const shown = event.target.closest("button.show");
  if (shown) showTexts(topics.of.get(Number(shown.dataset.symbol)));
});
window.addEventListener("hashchange", openTarget);
window.addEventListener("resize", () => { // a phone's bars come and go: the list stays where it is
  showTip(-1);
  at("rows").style.height = `${state.shown.length * rowHeight()}px`;
  drawRows();
  draw();
});
window.addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  readKept();
  changed("topics");
});
window.addEventListener("beforeunload", (event) => { if (!kept && unsaved) event.preventDefault(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });

readColours();
readKept();
makeTopics();
fillControls();
state.place = new Map();
changed("topics");
showView();
openTarget();
