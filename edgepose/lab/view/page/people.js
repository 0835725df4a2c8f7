// What is known of each person over time: trail, speed, height. Time is the camera's.

const TRAIL_S = 3;
const SPEED_S = 0.5;
const HEIGHT_S = 4;
const JUMP_S = 5; // another run, or another place in a recording
const ABOVE_EYES_M = 0.11;
const BELOW_ANKLE_M = 0.08;
const TOP = ["head_top", "nose", "left_eye", "right_eye", "left_ear", "right_ear"];

/** Seconds of the camera's clock at which a message was taken. */
export function timeOf(message) {
  if (Number.isFinite(message.media_s)) return message.media_s;
  const captured = Date.parse(message.captured ?? "");
  return Number.isNaN(captured) ? null : captured / 1000;
}

/** The colour of an identity, far from that of the one before. */
export function colour(id, dark, alpha = 1) {
  if (id === null || id === undefined) return dark ? `hsl(210 8% 70% / ${alpha})` : `hsl(210 8% 40% / ${alpha})`;
  const hue = (185 + (id - 1) * 137.508) % 360;
  return `hsl(${hue.toFixed(1)} ${dark ? 72 : 68}% ${dark ? 64 : 40}% / ${alpha})`;
}

/** Places of all joints in metres, x right, y away, z up; null where there are none. */
export function inRoom(message, person) {
  if (!person.xyz) return null;
  const root = person.root ?? null;
  if (message.space !== "model" && !root) return null;
  const [rx, ry, rz] = root ?? [0, 0, 0];
  const turn = message.frame === "world" ? (x, y, z) => [x, y, z] : (x, y, z) => [x, z, -y];
  return person.xyz.map((joint) => joint && turn(joint[0] + rx, joint[1] + ry, joint[2] + rz));
}

const middle = (points) => {
  const there = points.filter(Boolean);
  if (!there.length) return null;
  return there[0].map((_, axis) => there.reduce((sum, point) => sum + point[axis], 0) / there.length);
};

export class People {
  constructor() {
    this.known = new Map();
    this.t = null;
  }

  /** Take a message; returns of each person what is known. */
  update(message) {
    const t = timeOf(message);
    if (t === null || this.t === null || t < this.t || t > this.t + JUMP_S) this.known.clear();
    this.t = t;
    const at = Object.fromEntries(message.joints.map((joint, index) => [joint, index]));
    const seen = new Set();
    const rows = message.people.map((person) => {
      const one = { id: person.id ?? null, score: person.score, speed: null, height: null, unit: "", trail: [] };
      if (one.id === null || t === null) return one;
      seen.add(one.id);
      if (!this.known.has(one.id)) this.known.set(one.id, { trail: [], heights: [] });
      return { ...one, ...this.learn(this.known.get(one.id), message, person, at, t) };
    });
    for (const [id, kept] of this.known) if (!seen.has(id) && t - kept.t > TRAIL_S) this.known.delete(id);
    return rows;
  }

  learn(kept, message, person, at, t) {
    const joint = (points, ...names) => names.map((name) => points[at[name]]).filter(Boolean);
    const flat = person.keypoints;
    const hip = middle(joint(flat, "left_hip", "right_hip", "pelvis")) ?? middle(flat);
    const low = joint(flat, "left_ankle", "right_ankle").map((point) => point[1]);
    const foot = hip && [hip[0], low.length ? Math.max(...low) : hip[1]]; // below the hips: ankles swing
    const solid = message.space === "model" ? null : inRoom(message, person);
    const body = solid && (middle(joint(solid, "left_hip", "right_hip", "pelvis")) ?? middle(solid));
    const ys = flat.filter(Boolean).map((point) => point[1]);
    const tall = ys.length ? Math.max(...ys) - Math.min(...ys) : 0;
    kept.t = t;
    if (foot) kept.trail.push({ t, foot, hip, body, tall });
    kept.trail = kept.trail.filter((point) => t - point.t <= TRAIL_S);
    if (solid) this.measure(kept, solid, joint, t);
    const heights = kept.heights.map((one) => one.height).sort((a, b) => a - b);
    const height = heights.length ? heights[Math.floor(heights.length * 0.8)] : null;
    return { ...speedOf(kept.trail, t), height, assumed: message.space === "lifted", trail: kept.trail.map((one) => [one.t, ...one.foot]) };
  }

  measure(kept, solid, joint, t) {
    const tops = joint(solid, ...TOP).map((point) => point[2]);
    const feet = joint(solid, "left_ankle", "right_ankle").map((point) => point[2]);
    if (tops.length && feet.length) {
      kept.heights.push({ t, height: Math.max(...tops) + ABOVE_EYES_M - Math.min(...feet) + BELOW_ANKLE_M });
    }
    kept.heights = kept.heights.filter((one) => t - one.t <= HEIGHT_S);
  }
}

/** Over the last half second: metres where there are any, else body heights. */
function speedOf(trail, t) {
  const from = trail.find((point) => t - point.t <= SPEED_S);
  const to = trail[trail.length - 1];
  const span = from && to ? to.t - from.t : 0;
  if (span < SPEED_S / 3) return { speed: null, unit: "" };
  if (from.body && to.body) return { speed: Math.hypot(...to.body.map((x, axis) => x - from.body[axis])) / span, unit: "m/s" };
  if (!from.hip || !to.hip || !to.tall) return { speed: null, unit: "" };
  return { speed: Math.hypot(to.hip[0] - from.hip[0], to.hip[1] - from.hip[1]) / to.tall / span, unit: "bodies/s" };
}
