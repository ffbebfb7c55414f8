// Pointing on the map ------------------------------------------------------------------------------------------------

function nearest(x, y, limit) {
  let best = -1;
  let least = limit * limit;
  places.forEach(([px, py], i) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least && visible(i) && matching(i)) {
      best = i;
      least = distance;
    }
  });
  return best;
}

function showTip(i, x, y) {
  const tip = at("tip");
  tip.hidden = i < 0;
  if (i < 0) return;
  const { text } = sentences[i];
  tip.replaceChildren(element("div", { textContent: text.length > 240 ? `${text.slice(0, 240)} …` : text }),
    element("small", { textContent: noteOf(i) }));
  tip.style.left = `${Math.max(4, Math.min(x + 14, canvas.clientWidth - tip.offsetWidth - 4))}px`;
  const below = y + 16 + tip.offsetHeight < canvas.clientHeight;
  tip.style.top = `${below ? y + 16 : Math.max(4, y - 12 - tip.offsetHeight)}px`;
}

function point(i, x, y) {
  state.pointed = i;
  showTip(i, x, y);
  drawRings();
}

function zoomBy(factor) {
  state.zoom = Math.min(40, Math.max(1, state.zoom * factor));
  if (state.zoom === 1) state.centre = [0.5, 0.5];
  canvas.style.touchAction = state.zoom > 1 ? "none" : "pan-y";
  showTip(-1);
  draw();
}

// The next visible mark in the direction of an arrow key: near in that direction, little aside.
function stepOnMap(dx, dy) {
  const start = state.chosen >= 0 ? places[state.chosen] : [canvas.clientWidth / 2, canvas.clientHeight / 2];
  let best = -1;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    if (i === state.chosen || !visible(i) || !matching(i)) return;
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
    point(-1);
    draw();
    return;
  }
  const i = nearest(event.offsetX, event.offsetY, 14);
  if (i !== state.pointed) point(i, event.offsetX, event.offsetY);
});
canvas.addEventListener("pointerleave", () => point(-1));
canvas.addEventListener("click", (event) => {
  if (!(drag && drag.moved)) {
    const i = nearest(event.offsetX, event.offsetY, 22);
    choose(i);
    showTip(i, event.offsetX, event.offsetY);
  }
  drag = null;
});
canvas.addEventListener("keydown", (event) => {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (arrows[event.key]) stepOnMap(...arrows[event.key]);
  else if (event.key === "+" || event.key === "=") zoomBy(1.5);
  else if (event.key === "-") zoomBy(1 / 1.5);
  else if (event.key === "Escape") { choose(-1); showTip(-1); } else return;
  event.preventDefault();
  event.stopPropagation();
});
