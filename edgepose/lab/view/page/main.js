// The page: tiles for what comes, one way for keys, theme and focus. `window.edgepose` says what is drawn, for tests.

import { counted, el, say } from "./dom.js";
import { Drawing } from "./drawing.js";
import { follow } from "./feed.js";
import { Player } from "./player.js";
import { Tile, fact } from "./tile.js";

const MOST_EVENTS = 100;
const THEMES = ["system", "dark", "light"];
const here = (id) => document.getElementById(id);

const tiles = new Map();
const skeletons = await (await fetch("skeletons")).json();
const system = matchMedia("(prefers-color-scheme: dark)");
const store = (key, value) => {
  try {
    if (value !== undefined) localStorage.setItem(`edgepose.${key}`, value);
    return localStorage.getItem(`edgepose.${key}`);
  } catch {
    return null; // a browser that keeps nothing
  }
};
let theme = THEMES.includes(store("theme")) ? store("theme") : "system";
let alone = null;
let player = null;

// ------------------------------------------------------------------------------------------------ cameras

/** Pairs of joints: as the board says, else as the skeleton of that name has them. */
function bonesOf(message, status) {
  if (!message) return [];
  const count = message.joints.length;
  const known = skeletons[message.skeleton];
  const bones = status?.skeleton === message.skeleton && status.joints.length === count ? status.bones : known?.joints.length === count ? known.bones : [];
  return bones.filter(([from, to]) => from < count && to < count);
}

function tileOf(root) {
  if (!tiles.has(root)) {
    const tile = new Tile(root, { onfocus: focus, bonesOf });
    tiles.set(root, tile);
    const after = [...tiles.keys()].sort();
    here("tiles").insertBefore(tile.element, tiles.get(after[after.indexOf(root) + 1])?.element ?? null);
    document.body.classList.toggle("few", tiles.size < 2);
  }
  return tiles.get(root);
}

function forget(root) {
  const tile = tiles.get(root);
  if (!tile) return;
  if (alone === tile) focus(null);
  tile.element.remove();
  tiles.delete(root);
}

function took(news, way_ms) {
  for (const root of news.gone ?? []) forget(root);
  for (const [root, camera] of Object.entries(news.cameras ?? {})) tileOf(root).take(camera, way_ms);
  for (const { root, shown, event } of news.events ?? []) {
    tiles.get(root)?.event(event);
    addEvent(shown, event);
  }
  if (news.trouble !== undefined) troubled(news.trouble, "broker");
}

// ------------------------------------------------------------------------------------------------ events, troubles

const SAYS = { entered: "entered", left: "left" };

function addEvent(where, event) {
  const what = SAYS[event.type] ?? [event.rule || event.type, event.what, event.phase === "once" ? "" : event.phase].filter(Boolean).join(" ");
  const facts = Object.entries(event.facts ?? {}).map(fact).filter(Boolean);
  const taken = new Date(event.captured);
  const time = Number.isFinite(event.at_s) ? `${event.at_s.toFixed(1)} s` : Number.isNaN(taken.getTime()) ? "" : taken.toLocaleTimeString();
  const line = el("li", { class: SAYS[event.type] ? event.type : "rule" },
    el("time", { text: time }),
    el("b", { text: event.id > 0 ? `${event.id} ` : "" }),
    el("span", { text: what }),
    el("small", { text: [where, event.place && `in ${event.place}`, ...facts].filter(Boolean).join(" · ") }));
  here("events").prepend(line);
  while (here("events").children.length > MOST_EVENTS) here("events").lastChild.remove();
  here("quiet").hidden = true;
}

const troubles = {};
function troubled(text, from = "page") {
  troubles[from] = text;
  const all = Object.values(troubles).filter(Boolean).join("; ");
  say(here("trouble"), all);
  here("trouble").hidden = !all;
}

function summary() {
  const all = [...tiles.values()];
  const online = all.filter((tile) => tile.known.availability !== "offline" && tile.message).length;
  const people = all.reduce((sum, tile) => sum + (tile.known.availability === "offline" ? 0 : (tile.message?.people.length ?? 0)), 0);
  const text = player ? player.title : all.length ? `${online} of ${counted(all.length, "camera", "cameras")} · ${counted(people, "person", "people")}` : "no camera yet";
  say(here("summary"), text);
}

// ------------------------------------------------------------------------------------------------ focus, theme, keys

function focus(tile) {
  alone?.element.classList.remove("alone");
  if (alone && alone.view === "draw") alone.show("picture");
  alone = tile === alone ? null : tile;
  alone?.element.classList.add("alone");
  for (const one of tiles.values()) say(one.open, one === alone ? "All" : "Alone");
  document.body.classList.toggle("one", alone !== null);
  alone?.element.focus();
}

const dark = () => (theme === "system" ? system.matches : theme === "dark");

function setTheme(next) {
  theme = next;
  store("theme", theme);
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  say(here("theme"), `Theme: ${theme}`);
}

let board = null;
function toggleBoard() {
  if (!board) {
    const [over, panel] = [el("div", { class: "over edited" }), el("div", { class: "panel" })];
    const size = el("label", { text: "Picture " });
    board = { drawing: new Drawing(over, panel, "board"), element: null };
    const sides = [640, 480].map((side, axis) => el("input", { type: "number", value: side, min: 16, max: 8192, "aria-label": axis ? "height, pixels" : "width, pixels", onchange: resize }));
    size.append(sides[0], " × ", sides[1], " pixels");
    const stage = el("div", { class: "stage empty" }, over);
    board.element = el("article", { class: "tile alone board" }, el("header", {}, el("h2", { text: "An empty picture" }), size), stage, panel);
    here("tiles").prepend(board.element);
    board.element.hidden = true;
    function resize() {
      const wh = sides.map((side) => Math.min(8192, Math.max(16, Number(side.value) || 16)));
      stage.style.aspectRatio = `${wh[0]} / ${wh[1]}`;
      stage.style.setProperty("--wide", wh[0] / wh[1]);
      board.drawing.size(wh);
    }
    resize();
    board.drawing.edit(true);
  }
  board.element.hidden = !board.element.hidden;
  here("board").setAttribute("aria-pressed", !board.element.hidden);
  if (!board.element.hidden && alone) focus(null);
  document.body.classList.toggle("boarded", !board.element.hidden);
}

const KEYS = {
  Escape: () => (board && !board.element.hidden ? toggleBoard() : focus(null)),
  t: () => here("theme").click(),
  "?": () => here("keys").showModal(),
  p: () => chosen()?.show("picture"),
  r: () => chosen()?.hasRoom() && chosen().show("room"),
  d: () => (chosen() ? chosen().show("draw") : toggleBoard()),
};

const chosen = () => alone ?? [...tiles.values()].find((tile) => tile.element.contains(document.activeElement)) ?? null;

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea, button, dialog *");
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (typing && (event.key !== "Escape" || event.target.closest("dialog"))) {
    if (!(player && event.target.matches("button") && event.key.startsWith("Arrow"))) return;
  }
  if (player?.key(event)) return event.preventDefault();
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
here("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]));
here("help").addEventListener("click", () => here("keys").showModal());
here("board").addEventListener("click", toggleBoard);

// ------------------------------------------------------------------------------------------------ from now on

function frame(now) {
  player?.tick(now);
  for (const tile of tiles.values()) tile.draw(dark(), now, player?.also(tile) ?? null);
  summary();
  requestAnimationFrame(frame);
}

setTheme(theme);
const reels = await (await fetch("reels")).json();
if (reels.length) {
  player = new Player(here("player"), reels, { tileOf, addEvent });
  document.body.classList.add("played");
}
window.edgepose = { tiles, focus, get player() { return player; }, get board() { return board; }, drawn: () => Object.fromEntries([...tiles].map(([root, tile]) => [root, tile.drawn])) };
requestAnimationFrame(frame);
if (!reels.length) follow(took, (text) => troubled(text));
