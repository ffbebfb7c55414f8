// Signs --------------------------------------------------------------------------------------------------------------
// Colour and shape of a group: 6 x 7 of them look different; beyond that the names on the map tell them apart.

const COLOURS = 6;
const THIN = 0.38;
const PLUS = [[-THIN, -1.1], [THIN, -1.1], [THIN, -THIN], [1.1, -THIN], [1.1, THIN], [THIN, THIN], [THIN, 1.1], [-THIN, 1.1],
  [-THIN, THIN], [-1.1, THIN], [-1.1, -THIN], [-THIN, -THIN]];
const CIRCLE = []; // the others are corners
const SHAPES = [
  CIRCLE,
  [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]],
  [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]],
  PLUS,
  [[0, 1.2], [1.1, -0.8], [-1.1, -0.8]],
  PLUS.map(([x, y]) => [(x - y) * 0.72, (x + y) * 0.72]),
];
let colours = [];

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  colours = Array.from({ length: COLOURS }, (_, i) => read(`--c${i}`));
  for (const name of ["ink", "soft", "halo"]) colours[name] = read(`--${name}`);
}

// Groups below 0 (none, hidden) are grey circles.
const colourOf = (group) => (group < 0 ? colours.soft : colours[group % COLOURS]);
const shapeOf = (group) => (group < 0 ? CIRCLE : SHAPES[Math.floor(group / COLOURS) % SHAPES.length]);

// Made of the empty one in the page, so that no name space has to be spelt.
function sign(group) {
  const svg = at("sign").cloneNode(true);
  svg.removeAttribute("id");
  if (group >= 0) svg.classList.add(`c${group % COLOURS}`);
  const corners = shapeOf(group).map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join("L");
  svg.firstElementChild.setAttribute("d", corners ? `M${corners}Z` : "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0Z");
  return svg;
}

// Marks of one group, some at a time: one path of them is filled much faster than each by itself, and of several paths
// the later ones show through where many lie together.
const AT_A_TIME = 100;

function fillMarks(brush, group, points, r) {
  const shape = shapeOf(group);
  brush.fillStyle = colourOf(group);
  for (let from = 0; from < points.length; from += AT_A_TIME) {
    brush.beginPath();
    for (const [x, y] of points.slice(from, from + AT_A_TIME)) {
      if (shape === CIRCLE) {
        brush.moveTo(x + r, y);
        brush.arc(x, y, r, 0, 2 * Math.PI);
      } else {
        brush.moveTo(x + r * shape[0][0], y + r * shape[0][1]);
        for (const [dx, dy] of shape.slice(1)) brush.lineTo(x + r * dx, y + r * dy);
        brush.closePath();
      }
    }
    brush.fill();
  }
}
