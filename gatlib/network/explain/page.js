"use strict";
// All text of the network goes through textContent: none of it is ever read as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.querySelector("svg");
const panel = document.querySelector("aside");
const SCALE = 140; // of the positions, in units of the picture

function make(name, attributes = {}, parent = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

function add(parent, name, text = "") {
  const element = document.createElement(name);
  element.textContent = text;
  parent.append(element);
  return element;
}

// 1. What stands round the picture.
document.title = data.title;
document.querySelector("h1").textContent = data.title;
document.querySelector("footer").textContent = data.caption;
const select = document.querySelector("select");
for (const width of data.widths) add(select, "option", width.name);
const legend = document.querySelector("ul");
for (const entry of data.legend) {
  const item = add(legend, "li");
  const mark = add(item, "span");
  mark.style[entry.ring ? "border" : "background"] = (entry.ring ? "2px solid " : "") + entry.colour;
  if (entry.square) mark.style.borderRadius = "0";
  item.append(entry.name);
}

// 2. Lines and nodes.
const view = make("g", {}, svg);
const ARROWS = { other: 9, central: 20 }; // their lengths
for (const [name, length] of Object.entries(ARROWS)) {
  const marker = make(
    "marker",
    { id: name, viewBox: "0 0 10 10", refY: 5, markerWidth: length, markerHeight: length, orient: "auto", markerUnits: "userSpaceOnUse" },
    make("defs", {}, svg),
  );
  make("path", { d: "M0 0L10 5L0 10z", fill: "#555" }, marker);
}
const nodes = data.nodes.map((node) => ({ ...node, x: node.x * SCALE, y: -node.y * SCALE, lines: [] }));
const lines = data.edges.map(([from, to]) => {
  const kind = from === 0 || to === 0 ? "central" : "other";
  const line = make("line", { class: kind }, view);
  if (data.directed) line.setAttribute("marker-end", `url(#${kind})`);
  const edge = { line, kind, from: nodes[from], to: nodes[to] };
  nodes[from].lines.push(edge);
  nodes[to].lines.push(edge);
  return edge;
});
for (const [place, node] of nodes.entries()) {
  const group = make("g", { class: place ? "node" : "node middle", tabindex: 0 }, view);
  const size = 5 + 13 * Math.sqrt(node.size);
  const look = { fill: node.colour, stroke: node.ring || "#fff", "stroke-width": node.ring ? 4 : 1 };
  if (node.square) make("rect", { x: -size, y: -size, width: 2 * size, height: 2 * size, ...look }, group);
  else make("circle", { r: size, ...look }, group);
  const label = make("text", { dy: "0.35em" }, group);
  label.textContent = node.label;
  if (place === 0) {
    label.setAttribute("text-anchor", "middle");
    label.setAttribute("y", size + 14);
  } else {
    const angle = (Math.atan2(node.y, node.x) * 180) / Math.PI;
    const left = Math.abs(angle) > 90;
    label.setAttribute("text-anchor", left ? "end" : "start");
    label.setAttribute("x", left ? -size - 5 : size + 5);
    if (nodes.length > 15) label.setAttribute("transform", `rotate(${left ? angle - 180 : angle})`);
  }
  node.group = group;
  node.radius = size;
  group.addEventListener("pointerenter", () => dragged || tell(node));
  group.addEventListener("pointerleave", () => dragged || tell(pinned));
  group.addEventListener("focus", () => tell(node));
  group.addEventListener("pointerdown", (event) => grab(event, node));
}

function place(node) {
  node.group.setAttribute("transform", `translate(${node.x} ${node.y})`);
  for (const { line, kind, from, to } of node.lines) {
    // An arrow ends at the rim of the node.
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const rest = data.directed ? Math.max(0, 1 - (to.radius + ARROWS[kind] + 1) / (Math.hypot(dx, dy) || 1)) : 1;
    line.setAttribute("x1", from.x);
    line.setAttribute("y1", from.y);
    line.setAttribute("x2", from.x + dx * rest);
    line.setAttribute("y2", from.y + dy * rest);
  }
}
nodes.forEach(place);

function widen() {
  const widths = data.widths[select.selectedIndex]?.of ?? [];
  for (const { line, kind, from, to } of lines) {
    const outer = from === nodes[0] ? to : from;
    // Of a directed edge away from the node there is no weight.
    const known = kind === "central" && (!data.directed || to === nodes[0]);
    line.style.strokeWidth = known ? `${0.7 + 8 * (widths[nodes.indexOf(outer)] ?? 0)}px` : "";
  }
}
select.addEventListener("change", widen);
widen();

// 3. What is known of a node.
let pinned = nodes[0];
function tell(node) {
  panel.replaceChildren();
  add(panel, "h2", node.id);
  for (const { heading, rows } of node.facts) {
    if (heading) add(panel, "div", heading);
    const table = add(panel, "table");
    for (const [name, value] of rows) {
      const row = add(table, "tr");
      add(row, "th", name);
      add(row, "td", value);
    }
  }
  for (const { line, from, to } of lines) line.classList.toggle("lit", from === node || to === node);
  for (const other of nodes) other.group.classList.toggle("told", other === node);
}
tell(pinned);

// 4. Dragging and zooming.
const farthest = Math.max(...nodes.map((node) => Math.hypot(node.x, node.y))) + 100;
const box = { x: -farthest, y: -farthest, size: 2 * farthest };
let dragged = null;

function look() {
  svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.size} ${box.size}`);
}
look();

function units(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return { x: point.x, y: point.y };
}

function grab(event, node) {
  event.stopPropagation();
  dragged = { node, last: units(event) };
  svg.setPointerCapture(event.pointerId);
  if (node) {
    pinned = node;
    tell(node);
  }
}
svg.addEventListener("pointerdown", (event) => grab(event, null));
svg.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const now = units(event);
  const [dx, dy] = [now.x - dragged.last.x, now.y - dragged.last.y];
  if (dragged.node) {
    dragged.node.x += dx;
    dragged.node.y += dy;
    place(dragged.node);
    dragged.last = now;
  } else {
    box.x -= dx;
    box.y -= dy;
    look(); // moves the picture below the pointer, so the last place stays what it was
  }
});
for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => (dragged = null));
svg.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const centre = units(event);
    const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300)));
    const size = Math.max(farthest / 10, Math.min(farthest * 8, box.size * factor));
    box.x = centre.x - ((centre.x - box.x) * size) / box.size;
    box.y = centre.y - ((centre.y - box.y) * size) / box.size;
    box.size = size;
    look();
  },
  { passive: false },
);
