// Map ----------------------------------------------------------------------------------------------------------------
// Marks on one canvas, drawn only when they change; rings around the chosen and the pointed one on another above it.

const canvas = at("canvas");
let places = [];

// What the map can be coloured by: names of the groups in the order of the legend, and the group of a text.
const colourings = [];
if (symbols.length) {
  colourings.push({
    name: "topic", hidden: new Set(), n: symbols.length,
    title: (rank) => topics.of.get(symbols[rank].number).title,
    of: (i) => (topicOf(i).hidden ? -1 : topicOf(i).rank),
  });
}
data.fields.forEach((field, column) => {
  colourings.push({
    name: field.name, hidden: new Set(), n: field.values.length, title: (value) => field.values[value],
    of: (i) => sentences[i].labels[column],
  });
});
colourings.push({
  name: "split", hidden: new Set(), n: data.splits.length, title: (value) => data.splits[value], of: (i) => sentences[i].split,
});

const colouring = () => colourings[state.colouring];
const visible = (i) => !colouring().hidden.has(colouring().of(i));
const matching = (i) => state.matches[i] === 1;

// Pixels of every point of the current view: the whole of it fits at zoom 1, whatever is switched on.
function place(width, height) {
  const view = data.views[state.view];
  const margin = 22;
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const points of at("prior").checked ? [view.points, view.prior] : [view.points]) {
    for (const point of points) {
      for (const axis of [0, 1]) {
        low[axis] = Math.min(low[axis], point[axis]);
        high[axis] = Math.max(high[axis], point[axis]);
      }
    }
  }
  const range = [0, 1].map((axis) => (high[axis] > low[axis] ? high[axis] - low[axis] : 1));
  const scale = ([x, y]) => [
    width / 2 + ((x - low[0]) / range[0] - state.centre[0]) * (width - 2 * margin) * state.zoom,
    height / 2 - ((y - low[1]) / range[1] - state.centre[1]) * (height - 2 * margin) * state.zoom,
  ];
  return { points: view.points.map(scale), prior: view.prior.map(scale) };
}

function cleared(box) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (box.width !== width || box.height !== height) Object.assign(box, { width, height });
  const brush = box.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

const radius = () => Math.min(6, 3.4 + 0.5 * Math.log2(state.zoom)) * (places.length > 4000 ? 0.7 : 1);

// Once a frame at most, however often it is asked for, and after the list: a search is answered there first.
let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => setTimeout(() => {
    asked = false;
    drawMarks();
    drawRings();
  }, 0));
}

function drawMarks() {
  const brush = cleared(at("base"));
  const placed = place(canvas.clientWidth, canvas.clientHeight);
  places = placed.points;
  if (at("prior").checked) drawPrior(brush, placed.prior);
  const { of } = colouring();
  for (const bright of state.filtered ? [false, true] : [true]) { // what matches lies on top
    const groups = new Map();
    for (let i = 0; i < places.length; i += 1) {
      if (matching(i) !== bright || !visible(i)) continue;
      const group = of(i);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(places[i]);
    }
    brush.globalAlpha = bright ? 0.75 : 0.1;
    for (const [group, points] of groups) fillMarks(brush, group, points, radius());
  }
  brush.globalAlpha = 1;
  drawNames(brush);
}

function drawRings() {
  const brush = cleared(canvas);
  brush.strokeStyle = colours.ink;
  brush.lineWidth = 2;
  for (const i of [state.chosen, state.pointed]) {
    if (i < 0 || !places[i]) continue;
    brush.beginPath();
    brush.arc(places[i][0], places[i][1], radius() + 4, 0, 2 * Math.PI);
    brush.stroke();
  }
}

function drawPrior(brush, points) {
  brush.strokeStyle = colours.soft;
  brush.globalAlpha = 0.55;
  brush.lineWidth = 1;
  brush.beginPath();
  for (const [x, y] of points) {
    brush.moveTo(x - 3, y - 3);
    brush.lineTo(x + 3, y + 3);
    brush.moveTo(x + 3, y - 3);
    brush.lineTo(x - 3, y + 3);
  }
  brush.stroke();
  brush.globalAlpha = 1;
}

// Names of groups at the median of their marks, largest group first; one that would cover another is shortened to its
// first word, and left out where that does as well.
function drawNames(brush) {
  const { of, title, n } = colouring();
  const members = Array.from({ length: n }, () => []);
  places.forEach((point, i) => {
    const group = of(i);
    if (group >= 0 && visible(i) && matching(i)) members[group].push(point);
  });
  const median = (points, axis) => { // of some hundred points, evenly taken: of thousands it would be the same
    const every = Math.ceil(points.length / 300);
    const numbers = points.filter((_, i) => i % every === 0).map((point) => point[axis]).sort((a, b) => a - b);
    return numbers[numbers.length >> 1];
  };
  brush.font = "600 13px system-ui, sans-serif";
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.lineWidth = 4;
  brush.lineJoin = "round";
  const taken = [];
  const free = (box) => taken.every((other) => (
    box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]));
  const order = [...members.keys()].filter((group) => members[group].length > 2)
    .sort((a, b) => members[b].length - members[a].length);
  for (const group of order) {
    const x = median(members[group], 0);
    const y = median(members[group], 1);
    const whole = title(group);
    for (const name of new Set([whole.slice(0, 40), whole.split(/[\s,]+/)[0].slice(0, 20)])) {
      const half = brush.measureText(name).width / 2 + 3;
      const middle = Math.max(half, Math.min(canvas.clientWidth - half, x));
      const box = [middle - half, y - 10, middle + half, y + 10];
      if (!free(box)) continue;
      taken.push(box);
      brush.strokeStyle = colours.halo;
      brush.strokeText(name, middle, y);
      brush.fillStyle = colours.ink;
      brush.fillText(name, middle, y);
      break;
    }
  }
}

function legend() {
  const { of, title, n, hidden } = colouring();
  const counts = new Array(n).fill(0);
  let without = 0;
  for (let i = 0; i < sentences.length; i += 1) {
    const group = of(i);
    if (group >= 0) counts[group] += 1;
    else without += 1;
  }
  const groups = [...counts.keys()].filter((group) => counts[group] > 0);
  const items = groups.map((group) => [title(group), group, counts[group]]);
  if (without) items.push([colouring().name === "topic" ? "(hidden)" : "(none)", -1, without]);
  at("legend").replaceChildren(...items.map(([name, group, count]) => {
    const made = button("", () => {
      if (!hidden.delete(group)) hidden.add(group);
      made.setAttribute("aria-pressed", String(!hidden.has(group)));
      draw();
    });
    made.append(sign(group), element("span", { textContent: name }), element("small", { textContent: number(count) }));
    made.setAttribute("aria-pressed", String(!hidden.has(group)));
    return element("li", {}, made);
  }));
}

function allOrNone(shown) {
  const { hidden, n } = colouring();
  hidden.clear();
  if (!shown) for (let group = -1; group < n; group += 1) hidden.add(group);
  legend();
  draw();
}
