// Map --------------------------------------------------------------------------------------------------------------

function visible(i) {
  const group = colourings[state.colouring].of[i];
  return !state.hidden[state.colouring].has(group);
}

// Pixels of every point of the current view: the whole of it fits at zoom 1, whatever is switched on.
function place(width, height) {
  const view = data.views[state.view];
  const margin = 22;
  const all = at("prior").checked ? view.points.concat(view.prior) : view.points;
  const range = (axis) => {
    let low = Infinity;
    let high = -Infinity;
    for (const point of all) {
      low = Math.min(low, point[axis]);
      high = Math.max(high, point[axis]);
    }
    return [low, high > low ? high : low + 1];
  };
  const [lowX, highX] = range(0);
  const [lowY, highY] = range(1);
  const scale = ([x, y]) => [
    width / 2 + ((x - lowX) / (highX - lowX) - state.centre[0]) * (width - 2 * margin) * state.zoom,
    height / 2 - ((y - lowY) / (highY - lowY) - state.centre[1]) * (height - 2 * margin) * state.zoom,
  ];
  return { points: view.points.map(scale), prior: view.prior.map(scale) };
}

function draw() {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const placed = place(width, height);
  places = placed.points;
  if (at("prior").checked) drawPrior(placed.prior);
  const colouring = colourings[state.colouring];
  const radius = Math.min(6, 3.2 + 0.5 * Math.log2(state.zoom)) * (places.length > 4000 ? 0.7 : 1);
  places.forEach(([x, y], i) => {
    if (!visible(i)) return;
    context.globalAlpha = state.matches && !state.matches.has(i) ? 0.07 : 0.72;
    context.fillStyle = colourOf(colouring.of[i]);
    context.fill(outline(shapeOf(colouring.of[i]), x, y, radius));
  });
  context.globalAlpha = 1;
  drawNames(colouring);
  for (const i of [state.chosen, state.pointed]) {
    if (i < 0) continue;
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.stroke(outline("circle", places[i][0], places[i][1], radius + 4));
  }
}

function drawPrior(points) {
  context.strokeStyle = colours.soft;
  context.globalAlpha = 0.55;
  context.lineWidth = 1;
  context.beginPath();
  for (const [x, y] of points) {
    context.moveTo(x - 3, y - 3);
    context.lineTo(x + 3, y + 3);
    context.moveTo(x + 3, y - 3);
    context.lineTo(x - 3, y + 3);
  }
  context.stroke();
  context.globalAlpha = 1;
}

// Each group's name at the median of its marks: numbers of symbols always, values of labels where there are few.
function drawNames(colouring) {
  if (colouring.name !== "symbol" && colouring.groups.length > 15) return;
  const members = colouring.groups.map(() => []);
  places.forEach((point, i) => {
    const group = colouring.of[i];
    if (group >= 0 && visible(i) && (!state.matches || state.matches.has(i))) members[group].push(point);
  });
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.lineJoin = "round";
  const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
  members.forEach((points, group) => {
    if (points.length < 3) return;
    const x = median(points.map((p) => p[0]));
    const y = median(points.map((p) => p[1]));
    context.strokeStyle = colours.halo;
    context.strokeText(colouring.short[group], x, y);
    context.fillStyle = colours.ink;
    context.fillText(colouring.short[group], x, y);
  });
}

function nearest(x, y, limit) {
  let best = -1;
  let least = limit * limit;
  places.forEach(([px, py], i) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least && visible(i) && (!state.matches || state.matches.has(i))) {
      best = i;
      least = distance;
    }
  });
  return best;
}

function describe(i) {
  const { text, symbol, probability, labels } = sentences[i];
  const parts = [];
  if (symbol >= 0) parts.push(`symbol ${symbol}, p ${probability.toFixed(2)}`);
  data.fields.forEach((field, column) => {
    if (labels[column] >= 0) parts.push(`${field.name}: ${field.values[labels[column]]}`);
  });
  return [text, parts.join(" · ")];
}

function showTip(i, x, y) {
  const tip = at("tip");
  tip.hidden = i < 0;
  if (i < 0) return;
  const [text, note] = describe(i);
  tip.replaceChildren(element("div", { textContent: text }), element("small", { textContent: note }));
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(x + 14, canvas.clientWidth - wide - 4))}px`;
  const below = y + 16 + tip.offsetHeight < canvas.clientHeight;
  tip.style.top = `${below ? y + 16 : Math.max(4, y - 12 - tip.offsetHeight)}px`;
}

function choose(i) {
  state.chosen = i;
  const box = at("selected");
  if (i < 0) {
    box.textContent = "No sentence chosen.";
  } else {
    const [text, note] = describe(i);
    box.replaceChildren(element("div", { textContent: text }), element("small", { textContent: note }));
    if (sentences[i].symbol >= 0) {
      const link = element("a", { href: `#symbol-${sentences[i].symbol}`, textContent: "open the symbol" });
      box.append(" ", link);
    }
  }
  draw();
}

function zoomBy(factor) {
  state.zoom = Math.min(40, Math.max(1, state.zoom * factor));
  if (state.zoom === 1) state.centre = [0.5, 0.5];
  canvas.style.touchAction = state.zoom > 1 ? "none" : "pan-y";
  showTip(-1);
  draw();
}

// The next visible mark in the direction of an arrow key: near in that direction, little aside.
function step(dx, dy) {
  const start = state.chosen >= 0 ? places[state.chosen] : [canvas.clientWidth / 2, canvas.clientHeight / 2];
  let best = -1;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    if (i === state.chosen || !visible(i) || (state.matches && !state.matches.has(i))) return;
    const along = (x - start[0]) * dx + (y - start[1]) * dy;
    const aside = Math.abs((x - start[0]) * dy) + Math.abs((y - start[1]) * dx);
    if (along > 0 && along + 2 * aside < least) {
      best = i;
      least = along + 2 * aside;
    }
  });
  if (best < 0) return;
  choose(best);
  showTip(best, ...places[best]);
}

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.offsetX, y: event.offsetY, centre: state.centre, moved: false };
});
canvas.addEventListener("pointermove", (event) => {
  if (drag && event.buttons && state.zoom > 1) {
    const dx = event.offsetX - drag.x;
    const dy = event.offsetY - drag.y;
    drag.moved = drag.moved || Math.abs(dx) + Math.abs(dy) > 6;
    const own = (size) => (size - 44) * state.zoom;
    state.centre = [drag.centre[0] - dx / own(canvas.clientWidth), drag.centre[1] + dy / own(canvas.clientHeight)];
    state.pointed = -1;
    showTip(-1);
    draw();
    return;
  }
  const found = nearest(event.offsetX, event.offsetY, 14);
  if (found === state.pointed) return;
  state.pointed = found;
  showTip(found, event.offsetX, event.offsetY);
  draw();
});
canvas.addEventListener("pointerleave", () => {
  state.pointed = -1;
  showTip(-1);
  draw();
});
canvas.addEventListener("click", (event) => {
  if (!(drag && drag.moved)) {
    const found = nearest(event.offsetX, event.offsetY, 22);
    choose(found);
    showTip(found, event.offsetX, event.offsetY);
  }
  drag = null;
});
canvas.addEventListener("keydown", (event) => {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (arrows[event.key]) step(...arrows[event.key]);
  else if (event.key === "+" || event.key === "=") zoomBy(1.5);
  else if (event.key === "-") zoomBy(1 / 1.5);
  else if (event.key === "Escape") { choose(-1); showTip(-1); } else return;
  event.preventDefault();
});

