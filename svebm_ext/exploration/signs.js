// Signs --------------------------------------------------------------------------------------------------------------
// Colour and shape of a group: 6 x 7 of them look different; beyond that the names on the map tell them apart.

const COLOURS = 6;
const polygon = (points) => `M${points.map((point) => point.join(",")).join("L")}Z`;
const THIN = 0.38;
const PLUS = [[-THIN, -1.1], [THIN, -1.1], [THIN, -THIN], [1.1, -THIN], [1.1, THIN], [THIN, THIN], [THIN, 1.1], [-THIN, 1.1],
  [-THIN, THIN], [-1.1, THIN], [-1.1, -THIN], [-THIN, -THIN]];
const CIRCLE = "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0Z";
const SHAPES = [
  CIRCLE,
  polygon([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
  polygon([[0, -1.2], [1.1, 0.8], [-1.1, 0.8]]),
  polygon([[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]]),
  polygon(PLUS),
  polygon([[0, 1.2], [1.1, -0.8], [-1.1, -0.8]]),
  polygon(PLUS.map(([x, y]) => [((x - y) * 0.72).toFixed(3), ((x + y) * 0.72).toFixed(3)])),
];
let colours = [];

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  colours = Array.from({ length: COLOURS }, (_, i) => read(`--c${i}`));
  for (const name of ["ink", "soft", "halo", "card"]) colours[name] = read(`--${name}`);
}

// Groups below 0 (none, hidden) are grey circles.
const colourOf = (group) => (group < 0 ? colours.soft : colours[group % COLOURS]);
const shapeOf = (group) => (group < 0 ? CIRCLE : SHAPES[Math.floor(group / COLOURS) % SHAPES.length]);

// Made of the empty one in the page, so that no name space has to be spelt.
function sign(group) {
  const svg = at("sign").cloneNode(true);
  svg.removeAttribute("id");
  if (group >= 0) svg.classList.add(`c${group % COLOURS}`);
  svg.firstElementChild.setAttribute("d", shapeOf(group));
  return svg;
}

// A small picture of the sign, drawn once: thousands of marks are copies of it.
function sprite(group, radius, ratio) {
  const made = document.createElement("canvas");
  made.width = made.height = Math.ceil(2.8 * radius * ratio) + 2;
  const brush = made.getContext("2d");
  brush.translate(made.width / 2, made.height / 2);
  brush.scale(radius * ratio, radius * ratio);
  brush.fillStyle = colourOf(group);
  brush.fill(new Path2D(shapeOf(group)));
  return made;
}
