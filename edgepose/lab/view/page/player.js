// Recordings: a common clock for one or two of them, blocks of frames fetched when they are needed.

import { clock, el, say } from "./dom.js";
import { People } from "./people.js";
import { fit } from "./picture.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16];
const KEPT_BLOCKS = 24;
const POLL_MS = 700;

export class Player {
  constructor(element, reels, { tileOf, addEvent }) {
    [this.element, this.addEvent] = [element, addEvent];
    this.reels = reels.map((reel, index) => ({ ...reel, index, blocks: [], cached: new Map(), tile: tileOf(reel.root), at: -1 }));
    [this.t, this.speed, this.playing, this.before] = [0, 1, false, null];
    this.overlay = false;
    this.stepping = Promise.resolve();
    for (const reel of this.reels) reel.tile.take({ shown: reel.name, status: reel.status }, 0);
    this.build();
    this.poll();
  }

  get title() {
    return this.reels.map((reel) => `${reel.name}${reel.done ? "" : `, read up to ${clock(reel.seconds)}`}`).join(" and ");
  }

  get seconds() {
    return Math.max(0, ...this.reels.map((reel) => reel.seconds ?? 0));
  }

  build() {
    const button = (text, title, does) => el("button", { type: "button", text, title, "aria-label": title, onclick: does });
    this.playButton = el("button", { type: "button", class: "play", text: "Play", title: "Play or pause (Space)", onclick: () => this.play(!this.playing) });
    this.speedBox = el("select", { "aria-label": "Speed", onchange: () => (this.speed = Number(this.speedBox.value)) });
    for (const speed of SPEEDS) this.speedBox.append(el("option", { value: speed, text: `${speed}×`, selected: speed === 1 }));
    this.clock = el("output", { "aria-label": "Position" });
    this.time = el("div", { class: "time", role: "slider", tabindex: 0, "aria-label": "Position in the recording", "aria-valuemin": 0 });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.time.append(this.canvas);
    const seek = (event) => {
      const box = this.time.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    };
    this.time.addEventListener("pointerdown", (event) => (this.time.setPointerCapture(event.pointerId), seek(event)));
    this.time.addEventListener("pointermove", (event) => this.time.hasPointerCapture(event.pointerId) && seek(event));
    const row = el("div", { class: "row" }, this.playButton,
      button("‹", "A frame back (←)", () => this.step(-1)), button("›", "A frame on (→)", () => this.step(1)), this.speedBox, this.clock);
    if (this.reels.length === 2) {
      row.append(el("button", { type: "button", text: "Compare in one", title: `draw ${this.reels[1].name} over ${this.reels[0].name}, dotted`, "aria-pressed": false, onclick: (event) => this.compare(event.target) }));
    }
    row.append(el("span", { class: "soft", text: "height: people in view; marks: what rules say" }));
    this.element.replaceChildren(row, this.time);
    this.element.hidden = false;
  }

  compare(button) {
    this.overlay = !this.overlay;
    button.setAttribute("aria-pressed", this.overlay);
    this.reels[1].tile.element.hidden = this.overlay;
    document.body.classList.toggle("few", this.overlay);
    for (const reel of this.reels) reel.tile.dirty = true;
  }

  /** What of the second recording is drawn over the first. */
  also(tile) {
    const [first, second] = this.reels;
    if (!this.overlay || tile !== first.tile || !second.tile.message) return null;
    return { message: second.tile.message, bones: second.tile.bones, rows: second.tile.rows };
  }

  async poll() {
    for (;;) {
      try {
        const reels = await (await fetch("reels")).json();
        reels.forEach((reel, index) => Object.assign(this.reels[index], reel));
        await Promise.all(this.reels.map(async (reel) => (reel.ribbon = await (await fetch(`ribbon?reel=${reel.index}`)).json())));
        this.ribbonDirty = true;
      } catch {
        // asked again
      }
      for (const reel of this.reels) if (reel.at < 0) this.show(reel);
      if (this.reels.every((reel) => reel.done)) return;
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  play(on) {
    if (on && this.t >= this.seconds) this.seek(0);
    this.playing = on;
    say(this.playButton, on ? "Pause" : "Play");
  }

  seek(t) {
    this.t = Math.min(this.seconds, Math.max(0, t));
    return Promise.all(this.reels.map((reel) => this.show(reel)));
  }

  /** To the next frame of the first recording, or the one before. */
  step(by) {
    this.play(false);
    this.stepping = this.stepping.then(() => this.stepped(by)); // keys may come faster than frames
  }

  async stepped(by) {
    const reel = this.reels[0];
    const at = Math.min(reel.frames - 1, Math.max(0, reel.at + by));
    const frame = await this.frame(reel, at);
    if (frame) await this.seek(frame.at_s);
  }

  tick(now) {
    if (this.playing && this.before !== null) {
      this.t = Math.min(this.seconds, this.t + ((now - this.before) / 1000) * this.speed);
      for (const reel of this.reels) this.show(reel);
      if (this.t >= this.seconds && this.reels.every((reel) => reel.done)) this.play(false);
    }
    this.before = now;
    const text = `${clock(this.t)} / ${clock(this.seconds)}`;
    if (this.clock.textContent !== text || this.ribbonDirty) {
      say(this.clock, text);
      this.time.setAttribute("aria-valuemax", this.seconds.toFixed(1));
      this.time.setAttribute("aria-valuenow", this.t.toFixed(1));
      this.time.setAttribute("aria-valuetext", text);
      this.paint();
    }
  }

  /** The last frame at or before now, once it is here. */
  async show(reel) {
    const block = reel.starts?.findLastIndex((start) => start <= this.t) ?? -1;
    if (block < 0) return;
    const frames = await this.block(reel, block);
    if (reel.starts[block + 1] !== undefined && this.playing) this.block(reel, block + 1);
    const within = frames?.findLastIndex((frame) => frame.at_s <= this.t + 1e-6) ?? -1;
    if (within < 0) return;
    const at = block * reel.block + within;
    if (at === reel.at || reel.starts.findLastIndex((start) => start <= this.t) !== block) return;
    if (at < reel.at || at > reel.at + 40) [reel.tile.people, reel.tile.toldAt] = [new People(), -Infinity];
    reel.at = at;
    const { at_s, events, meaning, ...message } = frames[within];
    reel.tile.take({ poses: { ...message, media_s: at_s }, ...(meaning ? { meaning: { rules: meaning } } : {}) }, 0);
    for (const event of events ?? []) if (this.playing) this.tellEvent(reel, event, at_s);
  }

  tellEvent(reel, event, at_s) {
    reel.tile.event(event);
    this.addEvent(this.reels.length > 1 ? reel.name : "", { ...event, at_s });
  }

  async frame(reel, at) {
    const frames = await this.block(reel, Math.floor(at / reel.block));
    return frames?.[at % reel.block] ?? null;
  }

  block(reel, number) {
    if (!reel.cached.has(number)) {
      const whole = reel.done || number < reel.starts.length - 1;
      const asked = fetch(`block?reel=${reel.index}&block=${number}`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
      reel.cached.set(number, asked);
      asked.then((frames) => (frames === null || !whole) && reel.cached.delete(number));
      if (reel.cached.size > KEPT_BLOCKS) reel.cached.delete(reel.cached.keys().next().value);
    }
    return reel.cached.get(number);
  }

  paint() {
    this.ribbonDirty = false;
    const ratio = fit(this.canvas);
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const [width, height] = [this.canvas.width, this.canvas.height];
    pen.clearRect(0, 0, width, height);
    const strip = height / this.reels.length;
    this.reels.forEach((reel, index) => {
      const { people = [], marks = [], seconds = 1 } = reel.ribbon ?? {};
      const most = Math.max(1, ...people);
      pen.fillStyle = style.getPropertyValue("--a");
      pen.globalAlpha = 0.55;
      people.forEach((count, at) => {
        const tall = (count / most) * (strip - 8 * ratio);
        const x = ((at * seconds) / this.seconds) * width;
        pen.fillRect(x, strip * (index + 1) - tall, Math.max(1, (seconds / this.seconds) * width - ratio / 2), tall);
      });
      pen.globalAlpha = 1;
      pen.fillStyle = style.getPropertyValue("--idle");
      for (const at of marks) pen.fillRect((at / this.seconds) * width - ratio, strip * index, 2 * ratio, strip);
    });
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillRect(Math.min(width - 2 * ratio, (this.t / Math.max(this.seconds, 1e-9)) * width), 0, 2 * ratio, height);
  }

  /** Whether a key was for this. */
  key(event) {
    const does = {
      " ": () => this.play(!this.playing),
      ArrowLeft: () => (event.shiftKey ? this.seek(this.t - 1) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.seek(this.t + 1) : this.step(1)),
      Home: () => this.seek(0),
      End: () => this.seek(this.seconds),
      "+": () => this.faster(1),
      "-": () => this.faster(-1),
    }[event.key];
    does?.();
    return Boolean(does);
  }

  faster(by) {
    const at = SPEEDS.indexOf(this.speed) + by;
    if (SPEEDS[at]) this.speedBox.value = this.speed = SPEEDS[at];
  }
}
