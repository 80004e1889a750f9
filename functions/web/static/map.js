// Draws the extent of an edit job on a map: a box, a polygon, or features. The fields of the form are
// the same in text, so what is typed is drawn, and what is drawn is typed.
"use strict";
(() => {
  const place = document.getElementById("draw");
  const svg = place?.querySelector("svg.map");
  if (!svg) return;
  const form = document.getElementById("edit-form");
  const sides = ["west", "south", "east", "north"].map((name) => form.elements[name]);
  const { polygon, features } = form.elements;
  const { west, north, x: perX, y: perY } = Object.fromEntries(Object.entries(svg.dataset).map(([name, text]) => [name, Number(text)]));
  const NS = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(NS, "path");
  drawing.setAttribute("class", "drawing");
  svg.append(drawing);
  const kind = () => form.elements.kind.value;
  const number = (value) => String(Number(value.toFixed(5)));
  const wrapped = (longitude) => (longitude > 180 ? longitude - 360 : longitude < -180 ? longitude + 360 : longitude);

  // Where an event is, in units of the map.
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const degrees = ([x, y]) => [wrapped(west + x / perX), Math.min(90, Math.max(-90, north - y / perY))];
  const units = ([longitude, latitude]) => [((longitude < west ? longitude + 360 : longitude) - west) * perX, (north - latitude) * perY];
  const vertices = () => polygon.value.split("\n").map((line) => line.trim().split(/[\s,]+/).map(Number)).filter((pair) => pair.length === 2 && pair.every(Number.isFinite));
  const ids = () => features.value.split("\n").map((line) => line.trim()).filter(Boolean);

  function show() {
    svg.dataset.tool = kind();
    const chosen = new Set(kind() === "features" ? ids() : []);
    for (const path of svg.querySelectorAll("path.feature")) path.classList.toggle("chosen", chosen.has(path.querySelector("title")?.textContent));
    let line = [];
    if (kind() === "box" && sides.every((side) => side.value.trim() && Number.isFinite(Number(side.value)))) {
      const [w, s, e, n] = sides.map((side) => Number(side.value));
      line = [[w, s], [e, s], [e, n], [w, n]].map(units);
    }
    if (kind() === "polygon") line = vertices().map(units);
    drawing.setAttribute("d", line.length ? `M${line.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}${line.length > 2 ? "z" : "h.1"}` : "");
  }

  let start = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button || kind() !== "box") return;
    event.preventDefault();
    start = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!start) return;
    const end = at(event);
    const [w, n] = degrees([Math.min(start[0], end[0]), Math.min(start[1], end[1])]);
    const [e, s] = degrees([Math.max(start[0], end[0]), Math.max(start[1], end[1])]);
    [w, s, e, n].forEach((value, index) => { sides[index].value = number(value); });
    show();
  });
  for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => { start = null; });
  svg.addEventListener("click", (event) => {
    if (kind() === "polygon") {
      const [longitude, latitude] = degrees(at(event));
      polygon.value = `${polygon.value.trimEnd()}\n${number(longitude)} ${number(latitude)}`.trim();
    }
    const id = kind() === "features" && event.target.closest("path.feature")?.querySelector("title")?.textContent;
    if (id) {
      const chosen = new Set(ids());
      if (!chosen.delete(id)) chosen.add(id);
      features.value = [...chosen].join("\n");
    }
    show();
  });
  form.addEventListener("input", show);
  show();
})();
