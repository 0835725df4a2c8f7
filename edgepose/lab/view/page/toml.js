// Shapes as the settings have them: [[zone]] and [ground] of the rules, [power] ignore.

const CLEAN = /[\u0000-\u001f\u007f"\\]|[\ud800-\udfff]/gu;

/** A basic string of TOML. */
export function quoted(text) {
  return `"${text.replace(CLEAN, (char) => {
    const code = char.codePointAt(0);
    if (char === '"' || char === "\\") return `\\${char}`;
    return code >= 0xd800 ? "?" : `\\u${code.toString(16).padStart(4, "0")}`;
  })}"`;
}

const px = (point) => `[${point.map((x) => Math.round(x * 10) / 10).join(", ")}]`;
const list = (points, each) => `[${points.map(each).join(", ")}]`;

/** All shapes of a picture of that size, to be put into edgepose.toml. */
export function toml(shapes, [width, height]) {
  const share = (point) => `${trim(point[0] / (width - 1))},${trim(point[1] / (height - 1))}`;
  const parts = [];
  const ignored = shapes.filter((shape) => shape.kind === "ignore").map((shape) => quoted(shape.points.map(share).join(" ")));
  if (ignored.length) parts.push(`[power]\nignore = [${ignored.join(", ")}]`);
  for (const shape of shapes.filter((one) => one.kind === "floor")) {
    parts.push(`[ground]\npoints_px = ${list(shape.points, px)}\npoints_m = ${list(shape.metres, (point) => `[${point.map(float).join(", ")}]`)}\nsize_wh = [${width}, ${height}]`);
  }
  for (const shape of shapes.filter((one) => !["ignore", "floor"].includes(one.kind))) {
    parts.push(`[[zone]]\nname = ${quoted(shape.name)}\n${shape.kind === "area" ? "" : `kind = "${shape.kind}"\n`}polygon_px = ${list(shape.points, px)}`);
  }
  return parts.length ? `${parts.join("\n\n")}\n` : "";
}

const float = (x) => (Number.isFinite(x) ? (Number.isInteger(x) ? x.toFixed(1) : String(x)) : "0.0");
const trim = (x) => String(Math.round(Math.min(1, Math.max(0, x)) * 1e4) / 1e4);

/** What is wrong with a shape, for a person; empty: nothing. */
export function wrong(shape, shapes) {
  if (shape.kind === "floor") {
    if (shape.points.length < 4) return "take four points of the floor, or more";
    return shapes.filter((one) => one.kind === "floor").length > 1 ? "there is one floor: remove the other" : "";
  }
  if (shape.points.length < 3) return "take three corners, or more";
  if (crosses(shape.points)) return "its lines cross: take the corners in order";
  if (shape.kind !== "ignore" && !shape.name) return "give it a name";
  const same = shapes.filter((one) => !["ignore", "floor"].includes(one.kind) && one.name === shape.name);
  return shape.kind !== "ignore" && same.length > 1 ? "another zone is called so" : "";
}

function crosses(points) {
  const side = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  const edges = points.map((point, index) => [point, points[(index + 1) % points.length]]);
  return edges.some(([a, b], first) =>
    edges.slice(first + 1).some(([c, d]) => ![a, b].some((end) => end === c || end === d) && side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0),
  );
}
