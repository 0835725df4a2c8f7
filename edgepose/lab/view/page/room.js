// A room one can turn: people in metres, the floor below them, the camera where it stands.

import { colour, inRoom } from "./people.js";
import { fit } from "./picture.js";

const STEP = 0.08; // of a key, radians
const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
const APART_M = 1.4; // people of a model that knows no places, beside each other
const TALL_M = 1.7;

export class Room {
  constructor(canvas) {
    this.canvas = canvas;
    [this.yaw, this.pitch, this.far] = [-0.5, 0.35, 7];
    this.centre = null;
    this.floor = null;
    this.drawn = null;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.turn(event.movementX / 160, event.movementY / 160);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.far = Math.min(40, Math.max(1.5, this.far * Math.exp(event.deltaY / 800)));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (!KEYS[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      this.turn(...KEYS[event.key]);
    });
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(1.5, Math.max(-0.3, this.pitch + pitch));
  }

  /** Draw everybody who has three dimensions. */
  draw(message, bones, dark) {
    const people = placed(message);
    this.aim(people, message);
    const ratio = fit(this.canvas);
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.lineCap = "round";
    this.grid(pen, dark, ratio);
    if (message.frame === "camera") this.eye(pen, dark, ratio);
    const deep = people.map((one) => ({ ...one, depth: this.view(one.middle).depth })).sort((a, b) => b.depth - a.depth);
    for (const one of deep) this.person(pen, one, bones, dark, ratio);
    this.note(pen, message, dark, ratio);
    this.drawn = { seq: message.seq, people: people.map((one) => one.person.id ?? null) };
  }

  /** Look at the middle of everybody, calmly. */
  aim(people, message) {
    const feet = people.flatMap((one) => one.joints.filter(Boolean).map((joint) => joint[2]));
    if (!feet.length) return;
    const lowest = message.frame === "world" ? 0 : Math.min(...feet) - 0.08;
    this.floor = this.floor === null ? lowest : this.floor + (lowest - this.floor) * (lowest < this.floor ? 0.3 : 0.01);
    const middle = people.reduce((sum, one) => sum.map((x, axis) => x + one.middle[axis] / people.length), [0, 0, 0]);
    this.centre = this.centre ? this.centre.map((x, axis) => x + (middle[axis] - x) * 0.03) : middle;
  }

  /** Where a place of the room is on the canvas. */
  view(point) {
    const [x, y, z] = point.map((value, axis) => value - (this.centre ?? [0, 0, 0])[axis]);
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const [across, away] = [x * cy - y * sy, x * sy + y * cy];
    const depth = away * cp - z * sp + this.far;
    const up = away * sp + z * cp;
    const scale = (Math.min(this.canvas.width, this.canvas.height * 1.4) * 0.95) / Math.max(depth, 0.05);
    return { x: this.canvas.width / 2 + across * scale, y: this.canvas.height / 2 - up * scale, depth, scale };
  }

  line(pen, from, to) {
    const [a, b] = [this.view(from), this.view(to)];
    if (a.depth < 0.1 || b.depth < 0.1) return;
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.stroke();
  }

  grid(pen, dark, ratio) {
    const [cx, cy] = (this.centre ?? [0, 0, 0]).map((value) => Math.round(value));
    pen.lineWidth = ratio;
    for (let at = -5; at <= 5; at++) {
      pen.strokeStyle = dark ? `rgb(255 255 255 / ${at ? 0.1 : 0.22})` : `rgb(0 0 0 / ${at ? 0.09 : 0.2})`;
      this.line(pen, [cx + at, cy - 5, this.floor ?? 0], [cx + at, cy + 5, this.floor ?? 0]);
      this.line(pen, [cx - 5, cy + at, this.floor ?? 0], [cx + 5, cy + at, this.floor ?? 0]);
    }
  }

  /** The camera, at the origin, looking along y. */
  eye(pen, dark, ratio) {
    pen.strokeStyle = dark ? "#98a2aa" : "#5d676f";
    pen.lineWidth = 1.5 * ratio;
    const corners = [[-0.2, 0.3, -0.15], [0.2, 0.3, -0.15], [0.2, 0.3, 0.15], [-0.2, 0.3, 0.15]];
    corners.forEach((corner, index) => {
      this.line(pen, [0, 0, 0], corner);
      this.line(pen, corner, corners[(index + 1) % 4]);
    });
  }

  person(pen, { person, joints, middle }, bones, dark, ratio) {
    const guessed = new Set(person.guessed ?? []);
    pen.strokeStyle = dark ? "rgb(255 255 255 / .18)" : "rgb(0 0 0 / .16)";
    pen.lineWidth = ratio;
    this.line(pen, middle, [middle[0], middle[1], this.floor ?? 0]);
    for (const [from, to] of bones) {
      if (!joints[from] || !joints[to]) continue;
      const seen = !guessed.has(from) && !guessed.has(to);
      pen.strokeStyle = colour(person.id, dark, seen ? 0.95 : 0.35);
      pen.lineWidth = Math.max(1.5, this.view(joints[from]).scale * 0.022);
      this.line(pen, joints[from], joints[to]);
    }
    joints.forEach((joint, index) => {
      if (!joint) return;
      const at = this.view(joint);
      if (at.depth < 0.1) return;
      pen.fillStyle = colour(person.id, dark, guessed.has(index) ? 0.35 : 0.95);
      pen.beginPath();
      pen.arc(at.x, at.y, Math.max(1.5, at.scale * 0.022), 0, 2 * Math.PI);
      pen.fill();
    });
  }

  note(pen, message, dark, ratio) {
    const says = { lifted: "metres from one camera, about 10 cm", triangulated: "metres from several cameras", model: "the model's own unit, no metres" }[message.space] ?? "";
    pen.font = `${12 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "left";
    pen.textBaseline = "bottom";
    pen.fillStyle = dark ? "#98a2aa" : "#5d676f";
    pen.fillText(says ? `${says} · a square is 1 m` : "nobody with three dimensions", 12 * ratio, this.canvas.height - 10 * ratio);
  }
}

/** Everybody's joints in the room; without places they stand beside each other, as tall as people are. */
function placed(message) {
  const solid = message.people.map((person) => ({ person, joints: inRoom(message, person) })).filter((one) => one.joints?.some(Boolean));
  solid.forEach((one, index) => {
    const there = () => one.joints.filter(Boolean);
    if (message.space === "model") {
      const [low, high] = [Math.min(...there().map((joint) => joint[2])), Math.max(...there().map((joint) => joint[2]))];
      const scale = TALL_M / Math.max(high - low, 1e-6);
      const x = there().reduce((sum, joint) => sum + joint[0] / there().length, 0);
      const aside = (index - (solid.length - 1) / 2) * APART_M;
      one.joints = one.joints.map((joint) => joint && [(joint[0] - x) * scale + aside, joint[1] * scale, (joint[2] - low) * scale]);
    }
    one.middle = [0, 1, 2].map((axis) => there().reduce((sum, joint) => sum + joint[axis], 0) / there().length);
  });
  return solid;
}
