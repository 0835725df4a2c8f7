// Zones, floor points and masks, drawn over a picture; they stay in this browser until they are copied out.

import { el, say, svg } from "./dom.js";
import { toml, wrong } from "./toml.js";

const KINDS = { area: "Zone", surface: "Bed or sofa", robot: "Robot", floor: "Floor", ignore: "Ignore" };
const ASKS = {
  floor: "Click four points of the floor, then say where they are in metres.",
  ignore: "Click around what is never looked at: a road, a television.",
};
const CLOSE_PX = 12; // on the screen, from the first corner: it ends the shape

export class Drawing {
  constructor(over, panel, key) {
    [this.over, this.panel, this.key] = [over, panel, `edgepose.shapes.${key}`];
    this.shapes = this.stored();
    this.begun = null;
    this.wh = [640, 480];
    this.picture = svg("svg", { preserveAspectRatio: "none" });
    over.append(this.picture);
    this.build();
    over.addEventListener("pointerdown", (event) => this.press(event));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !this.begun || event.target.matches("input, textarea, button")) return;
      event.preventDefault();
      this.end();
    });
    this.size(this.wh);
  }

  build() {
    const tools = el("div", { class: "tools", role: "group", "aria-label": "What to draw" });
    for (const [kind, text] of Object.entries(KINDS)) tools.append(el("button", { type: "button", text, "data-kind": kind, "aria-pressed": false, onclick: () => this.begin(kind) }));
    this.ask = el("span", { class: "soft", role: "status" });
    tools.append(this.ask);
    this.list = el("ul", { class: "shapes", "aria-label": "Shapes" });
    this.text = el("textarea", { readonly: true, "aria-label": "What to put into edgepose.toml", spellcheck: "false" });
    this.copied = el("span", { class: "soft", role: "status" });
    const copy = el("button", { type: "button", text: "Copy", onclick: () => this.copy() });
    this.panel.append(tools, this.list, this.text, el("div", { class: "tools" }, copy, this.copied));
  }

  size(wh) {
    if (this.wh[0] === wh[0] && this.wh[1] === wh[1] && this.picture.hasAttribute("viewBox")) return;
    this.wh = wh;
    this.picture.setAttribute("viewBox", `-0.5 -0.5 ${wh[0]} ${wh[1]}`); // (0, 0) is the centre of the first pixel
    this.refresh();
  }

  edit(on) {
    this.edited = on;
    if (!on) this.begun = null;
    this.refresh();
  }

  begin(kind) {
    const count = this.shapes.filter((shape) => shape.kind === kind).length + 1;
    this.begun = this.begun?.kind === kind ? null : { kind, name: `${kind === "area" ? "zone" : kind} ${count}`, points: [], metres: [] };
    this.refresh();
  }

  /** A corner of the shape that is drawn, from outside: a test, or a finger. */
  corner(point) {
    if (!this.begun) this.begin("area");
    this.begun.points.push(point.map((x, axis) => Math.min(this.wh[axis] - 1, Math.max(0, Math.round(x * 10) / 10))));
    if (this.begun.kind === "floor") {
      this.begun.metres.push([[0, 0], [2, 0], [2, 2], [0, 2]][this.begun.metres.length] ?? [0, 0]);
      if (this.begun.points.length === 4) this.end();
    }
    this.refresh();
  }

  end() {
    if (this.begun && this.begun.points.length >= 3) {
      this.shapes.push(this.begun);
      this.begun = null;
      this.save();
    }
    this.refresh();
  }

  place(event) {
    const box = this.over.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.wh[0] - 0.5, ((event.clientY - box.top) / box.height) * this.wh[1] - 0.5];
  }

  press(event) {
    if (!this.edited || event.target.tagName === "circle" || event.button > 0) return;
    const first = this.begun?.points[0];
    const box = this.over.getBoundingClientRect();
    const here = this.place(event);
    const near = first && this.begun.points.length > 2 && Math.hypot(((here[0] - first[0]) / this.wh[0]) * box.width, ((here[1] - first[1]) / this.wh[1]) * box.height) < CLOSE_PX;
    if (near) this.end();
    else if (this.begun) this.corner(here);
  }

  refresh() {
    const all = this.begun ? [...this.shapes, this.begun] : this.shapes;
    this.picture.replaceChildren(...all.flatMap((shape) => this.marks(shape)));
    for (const button of this.panel.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", this.begun?.kind === button.dataset.kind);
    const more = this.begun && this.begun.kind !== "floor" && this.begun.points.length > 2 ? " Enter, or the first corner again, ends it." : "";
    say(this.ask, this.begun ? (ASKS[this.begun.kind] ?? "Click its corners, one after the other.") + more : "Choose what to draw. Corners can be dragged.");
    this.tell();
    const focused = this.list.contains(document.activeElement);
    if (!focused) this.rows();
  }

  marks(shape) {
    const middle = shape.points.reduce((sum, point) => [sum[0] + point[0] / shape.points.length, sum[1] + point[1] / shape.points.length], [0, 0]);
    const line = svg(shape === this.begun ? "polyline" : "polygon", { points: shape.points.join(" "), class: shape.kind });
    const name = svg("text", { x: middle[0], y: middle[1], "text-anchor": "middle", "font-size": this.wh[0] / 40 });
    name.textContent = ["floor", "ignore"].includes(shape.kind) ? shape.kind : shape.name;
    return [line, ...(shape === this.begun ? [] : [name]), ...(this.edited ? shape.points.map((point, index) => this.handle(shape, index)) : [])];
  }

  handle(shape, index) {
    const [x, y] = shape.points[index];
    const made = svg("circle", { cx: x, cy: y, r: this.wh[0] / 90, tabindex: 0, role: "button", "aria-label": `corner ${index + 1} of ${shape.name}, ${x}, ${y}` });
    made.addEventListener("pointerdown", (event) => {
      if (shape === this.begun && index === 0) return this.end();
      made.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    made.addEventListener("pointermove", (event) => made.hasPointerCapture(event.pointerId) && this.move(shape, index, this.place(event), made));
    made.addEventListener("pointerup", () => (this.save(), this.refresh()));
    made.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.move(shape, index, shape.points[index].map((x, axis) => x + step[axis] * (event.shiftKey ? 10 : 1)), made);
      this.save();
    });
    return made;
  }

  move(shape, index, to, handle) {
    shape.points[index] = to.map((x, axis) => Math.min(this.wh[axis] - 1, Math.max(0, Math.round(x * 10) / 10)));
    handle.setAttribute("cx", shape.points[index][0]);
    handle.setAttribute("cy", shape.points[index][1]);
    const line = [...this.picture.querySelectorAll("polygon, polyline")][[...this.shapes, this.begun].indexOf(shape)];
    line?.setAttribute("points", shape.points.join(" "));
    this.tell();
  }

  rows() {
    this.list.replaceChildren(
      ...this.shapes.map((shape) => {
        const change = (does) => (event) => (does(event.target), this.save(), this.refresh());
        const parts = [el("b", { text: KINDS[shape.kind] })];
        if (!["floor", "ignore"].includes(shape.kind)) parts.push(el("input", { type: "text", value: shape.name, "aria-label": "its name", maxlength: 60, oninput: change((input) => (shape.name = input.value.trim())) }));
        shape.metres.forEach((point, index) => {
          parts.push(el("span", { class: "soft", text: `${index + 1}:` }));
          point.forEach((x, axis) => parts.push(el("input", { type: "number", step: 0.1, value: x, "aria-label": `point ${index + 1}, ${axis ? "y" : "x"} in metres`, oninput: change((input) => (point[axis] = Number(input.value))) })));
          if (index === shape.metres.length - 1) parts.push(el("span", { class: "soft", text: "m" }));
        });
        parts.push(el("button", { type: "button", text: "Remove", "aria-label": `Remove ${shape.name}`, onclick: () => ((this.shapes = this.shapes.filter((one) => one !== shape)), this.save(), this.refresh(), this.rows()) }));
        return el("li", {}, ...parts);
      }),
    );
  }

  tell() {
    const faults = this.shapes.map((shape) => wrong(shape, this.shapes) && `${shape.name}: ${wrong(shape, this.shapes)}`).filter(Boolean);
    this.text.value = toml(this.shapes.filter((shape) => !wrong(shape, this.shapes)), this.wh);
    this.copied.className = faults.length ? "wrong" : "soft";
    say(this.copied, faults[0] ?? (this.text.value ? "for edgepose.toml, or a file of rules" : ""));
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.text.value);
    } catch {
      this.text.select(); // a page that is not of this machine may not write there itself
      document.execCommand("copy");
    }
    say(this.copied, "copied");
  }

  stored() {
    try {
      const shapes = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      return shapes.filter((shape) => KINDS[shape.kind] && typeof shape.name === "string" && Array.isArray(shape.points) && Array.isArray(shape.metres));
    } catch {
      return [];
    }
  }

  save() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.shapes));
    } catch {
      // a browser that keeps nothing
    }
  }
}
