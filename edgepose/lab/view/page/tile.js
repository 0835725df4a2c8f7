// One camera: its picture, its people in numbers, what its rules say, how the board is.

import { counted, el, number, say } from "./dom.js";
import { Drawing } from "./drawing.js";
import { People, colour } from "./people.js";
import { drawPicture } from "./picture.js";
import { Room } from "./room.js";

const TOLD_MS = 200; // numbers that change faster cannot be read
const VIEWS = { picture: "Picture", room: "Room", draw: "Draw" };
const GOOD = new Set(["running"]);
const IDLE = new Set(["paused", "starting", "stopping", "recorded"]);

export class Tile {
  constructor(root, { onfocus, bonesOf }) {
    this.root = root;
    this.bonesOf = bonesOf;
    this.known = {};
    this.people = new People();
    this.rows = [];
    this.ages = [];
    this.view = "picture";
    this.drawn = null;
    this.picture = null;
    this.toldAt = -Infinity;
    this.build(onfocus);
    this.room = new Room(this.space);
    this.drawing = new Drawing(this.over, this.panel, root);
  }

  build(onfocus) {
    this.name = el("h2", {});
    this.pill = el("span", { class: "pill", text: "unknown" });
    this.count = el("span", { class: "count" });
    this.canvas = el("canvas", { role: "img" });
    this.over = el("div", { class: "over" });
    this.space = el("canvas", { class: "room", role: "img", tabindex: 0, hidden: true, "aria-label": "The room; arrow keys turn it" });
    this.hint = el("p", { class: "hint", text: "no poses yet" });
    this.stage = el("div", { class: "stage" }, this.canvas, this.over, this.space, this.hint);
    this.views = el("div", { class: "views", role: "group", "aria-label": "What is shown" });
    for (const [view, text] of Object.entries(VIEWS)) {
      this.views.append(el("button", { type: "button", text, "data-view": view, "aria-pressed": view === "picture", onclick: () => this.show(view) }));
    }
    const hidden = this.root.startsWith("recording/");
    this.snap = el("button", { type: "button", hidden, text: "Photo", title: "A photo behind the skeletons, where the device allows it", onclick: () => this.fetchPicture() });
    this.open = el("button", { type: "button", class: "open", text: "Alone", title: "Look at this camera alone (Enter)", onclick: () => onfocus(this) });
    this.views.append(this.snap, this.open);
    this.note = el("p", { class: "note", role: "status", hidden: true });
    this.panel = el("div", { class: "panel", hidden: true });
    this.list = el("ul", { class: "people", "aria-label": "People" });
    this.gauges = el("div", { class: "gauges", "aria-label": "What it means" });
    this.numbers = el("dl", { class: "numbers" });
    this.element = el(
      "article",
      { class: "tile", tabindex: 0, "aria-label": this.root },
      el("header", {}, this.name, this.count, this.pill),
      this.stage, this.views, this.note, this.panel, this.list, this.gauges, this.numbers,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === this.element) onfocus(this);
    });
  }

  /** Take what is new; `way_ms` is what the way from the server took. */
  take(news, way_ms) {
    Object.assign(this.known, news);
    if (news.status && news.status.run !== this.run) [this.run, this.people] = [news.status.run, new People()];
    if (!news.poses) return;
    this.rows = this.people.update(news.poses);
    this.arrived = performance.now();
    if (Number.isFinite(news.poses.age_ms)) this.age_ms = news.poses.age_ms + news.held_ms + way_ms;
    this.dirty = true;
  }

  get message() {
    return this.known.poses ?? null;
  }

  get bones() {
    return this.bonesOf(this.message, this.known.status);
  }

  show(view) {
    this.view = view;
    for (const button of this.views.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === view);
    this.space.hidden = view !== "room";
    this.canvas.hidden = view === "room";
    this.over.classList.toggle("edited", view === "draw");
    this.panel.hidden = view !== "draw";
    this.drawing.edit(view === "draw");
    this.dirty = true;
  }

  /** Draw what changed; `also` is a second message, of a recording that is compared. */
  draw(dark, now, also = null) {
    const { message } = this;
    if (message) {
      const [width, height] = message.size_wh;
      const ratio = `${width} / ${height}`;
      if (this.ratio !== ratio) this.stage.style.aspectRatio = this.ratio = ratio;
      this.stage.style.setProperty("--wide", width / height);
      this.drawing.size(message.size_wh);
    }
    if (message && this.view === "room") this.room.draw(message, this.bones, dark);
    else if (message && (this.dirty || this.dark !== dark || this.resized())) {
      this.drawn = drawPicture(this.canvas, { message, bones: this.bones, rows: this.rows, dark, image: this.picture });
      if (also) drawPicture(this.canvas, { ...also, dark, dashed: true, clear: false });
      if (this.dirty && Number.isFinite(this.age_ms)) this.aged(this.age_ms + performance.now() - this.arrived);
    }
    [this.dirty, this.dark] = [false, dark];
    if (now - this.toldAt > TOLD_MS) {
      this.toldAt = now;
      this.tell(dark);
    }
  }

  aged(ms) {
    this.ages.push(ms);
    if (this.ages.length > 60) this.ages.shift();
  }

  /** Milliseconds from camera to screen, the median of the last frames. */
  get age() {
    const sorted = [...this.ages].sort((a, b) => a - b);
    return sorted.length ? sorted[sorted.length >> 1] : null;
  }

  resized() {
    const ratio = window.devicePixelRatio || 1;
    return this.canvas.width !== Math.round(this.canvas.clientWidth * ratio);
  }

  tell(dark) {
    const { status, health, presence, availability, meaning, shown } = this.known;
    const offline = availability === "offline";
    const state = offline ? "offline" : (status?.state ?? (this.message ? "live" : "unknown"));
    say(this.name, shown ?? this.root);
    say(this.pill, state);
    this.pill.className = `pill ${offline || state === "waiting" ? "bad" : GOOD.has(state) ? "good" : IDLE.has(state) ? "idle" : ""}`;
    this.pill.title = status?.reason ?? "";
    this.element.classList.toggle("away", offline);
    this.element.classList.toggle("silent", !this.message);
    const people = presence?.people ?? this.message?.people.length ?? null;
    say(this.count, people === null ? "" : people === 0 ? "nobody" : counted(people, "person", "people"));
    const says = !this.message ? "no poses yet" : status?.reason && state !== "running" ? `${state}: ${status.reason}` : "";
    say(this.hint, says);
    this.hint.hidden = !says;
    this.element.setAttribute("aria-label", [shown ?? this.root, state, this.count.textContent].filter(Boolean).join(", "));
    this.canvas.setAttribute("aria-label", `${shown ?? this.root}: ${this.count.textContent || "nothing yet"}`);
    this.views.querySelector('[data-view="room"]').hidden = !this.hasRoom();
    this.tellPeople(dark);
    this.tellMeaning(meaning);
    this.tellNumbers(status, health);
  }

  hasRoom() {
    this.solid ||= this.message?.people.some((person) => person.xyz) ?? false;
    return this.solid;
  }

  tellPeople(dark) {
    const rows = this.rows.filter((row) => row.id !== null).sort((a, b) => a.id - b.id);
    while (this.list.children.length > rows.length) this.list.lastChild.remove();
    rows.forEach((row, index) => {
      let item = this.list.children[index];
      if (!item) this.list.append((item = el("li", {}, el("span", { class: "dot" }), el("b"), el("span", { class: "facts" }))));
      item.firstChild.style.background = colour(row.id, dark);
      say(item.children[1], String(row.id));
      const facts = [];
      if (row.speed !== null) facts.push(number(row.speed, row.unit === "m/s" ? 1 : 2, row.unit));
      if (row.height !== null) facts.push(`${number(row.height, 2, "m")} tall${row.assumed ? " (as set)" : ""}`);
      facts.push(`${Math.round(row.score * 100)}\u202f%`);
      say(item.lastChild, facts.join(" · "));
      item.title = row.assumed ? "one camera: its metres follow from lift.height_m" : "speed, height, how sure";
    });
  }

  tellMeaning(meaning) {
    const rules = Object.entries(meaning?.rules ?? {});
    const lines = rules.map(([name, rule]) => [name, ruleText(rule), rule.on === true || ["stop", "warn", "confirmed", "suspected"].includes(rule.level ?? rule.state)]);
    const key = JSON.stringify([lines, this.limits]);
    if (key === this.gaugeKey) return;
    this.gaugeKey = key;
    this.gauges.replaceChildren(
      ...lines.map(([name, text, on]) =>
        el("div", { class: on ? "gauge on" : "gauge" }, el("b", { text: name }), el("span", { text }), el("small", { text: this.limits?.[name] ?? "" })),
      ),
    );
  }

  /** An event of this camera: what its rule measured, and the limits of that. */
  event(event) {
    const evidence = Object.entries(event.evidence ?? {}).map(([what, [value, limit]]) => `${what} ${value === null ? "–" : round(value)} (limit ${round(limit)})`);
    if (event.rule && evidence.length) this.limits = { ...this.limits, [event.rule]: evidence.join(", ") };
  }

  tellNumbers(status, health) {
    const latency = health?.latency_ms?.latency;
    const told = {
      "to screen": this.age === null ? "" : number(this.age, 0, "ms"),
      frames: health ? number(health.fps, 1, "/s") : "",
      latency: latency ? `${number(latency.p50, 0)} / ${number(latency.p95, 0, "ms")}` : "",
      "runs on": health?.delegate || status?.engines?.[0] || this.message?.ran_on || "",
      power: powerText(status, health?.power),
      heat: Number.isFinite(health?.temperature_c) ? number(health.temperature_c, 0, "°C") + (health.throttled ? ", throttled" : "") : "",
      trouble: (status?.troubles ?? []).join("; "),
    };
    const key = JSON.stringify(told);
    if (key === this.numbersKey) return;
    this.numbersKey = key;
    this.numbers.replaceChildren(
      ...Object.entries(told).filter(([, text]) => text).map(([name, text]) => el("div", { class: name }, el("dt", { text: name }), el("dd", { text, title: text }))),
    );
  }

  async fetchPicture() {
    if (this.picture) {
      [this.picture, this.dirty] = [null, true];
      return say(this.snap, "Photo");
    }
    this.notice("asked for a photo");
    try {
      const answer = await fetch(`picture?camera=${encodeURIComponent(this.root)}`, { method: "POST" });
      const { jpeg, error } = await answer.json();
      if (!jpeg) return this.notice(error ?? "there is none");
      const image = new Image();
      image.src = `data:image/jpeg;base64,${jpeg}`;
      await image.decode();
      [this.picture, this.dirty] = [image, true];
      say(this.snap, "No photo");
      this.notice("");
    } catch (error) {
      this.notice(`no photo: ${error.message}`);
    }
  }

  notice(text) {
    say(this.note, text);
    this.note.hidden = !text;
  }
}

const round = (value) => (Number.isFinite(value) ? String(Math.round(value * 100) / 100) : "–");

const UNSAID = new Set(["kind", "people", "station", "id", "on", "safety_rated", "unknown"]);
const UNITS = { s: "s", m: "m", deg: "°", px: "px", min: "/min", hz: "Hz" };

/** How much the camera is looked at, and what holds it down. */
function powerText(status, power) {
  const limited = status?.limited && status.limited !== "nothing" ? `held down by ${status.limited}` : "";
  const volts = power?.under_voltage ? "supply too weak" : "";
  return [status?.power ?? power?.state, limited, volts].filter(Boolean).join(", ");
}

/** "distance_m", 0.62 is "distance 0.62 m"; nothing is said of what is not so, or not yet. */
export function fact([key, value]) {
  if (UNSAID.has(key) || value === null || value === false || value === 0 || value === "") return "";
  if (value === true) return words(key);
  if (Array.isArray(value)) return value.map(String).join(", ");
  if (typeof value === "string") return value;
  if (typeof value !== "number") return "";
  const unit = UNITS[key.split("_").at(-1)];
  return unit ? `${words(key.slice(0, key.lastIndexOf("_")))} ${round(value)}\u202f${unit}` : `${words(key)} ${round(value)}`;
}

/** What a rule says of all together, and of each what is not the same. */
function ruleText(rule) {
  const facts = (of) => Object.entries(of).map(fact).filter(Boolean);
  const all = facts(rule).join(", ") || (rule.count === 0 ? "0" : rule.on === undefined ? "" : rule.on ? "yes" : "no");
  const each = (rule.people ?? []).slice(0, 4).map((person) => {
    const says = person.unknown ? `cannot tell, ${person.unknown}` : facts(person).slice(0, 2).join(", ");
    return says && `${person.id > 0 ? `${person.id}: ` : ""}${says}`;
  });
  return [all, ...each].filter(Boolean).join(" · ") || "nobody";
}

const words = (key) => key.replaceAll("_", " ");
