// Reads what edgepose publishes on .../poses, JSON or binary, in node and in browsers. No dependencies.
//
//   import { readPoses } from "./edgepose.mjs";
//   const message = readPoses(payload);            // Uint8Array (a node Buffer is one)
//   for (const person of message.people)
//     for (const keypoint of person.keypoints)     // [x, y, score], or null: not found
//       if (keypoint) draw(keypoint[0], keypoint[1]);
//
// Both forms give the same object, that of edgepose.poses/1; from the binary form `device`, `camera` and `joints` are
// missing: the first two are in the topic, the third in the kept topic .../status.

const SCHEMA = "edgepose.poses/1";
const HEADER = 32;
const NOT_TOLD = 0xffffffff;

/** One message; throws Error if it is not one of version 1. */
export function readPoses(payload) {
  if (payload.length > 1 && payload[0] === 0x45 && payload[1] === 0x50) return readBinary(payload);
  const message = JSON.parse(new TextDecoder().decode(payload));
  if (message === null || message.schema !== SCHEMA) throw new Error(`expected ${SCHEMA}`);
  return message;
}

function readBinary(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength); // reading past its end throws
  if (bytes.length < HEADER || bytes[2] !== 1) throw new Error("not a message of version 1");
  const solid = (bytes[3] & 1) === 1;
  const metres = solid && (bytes[3] & 2) === 2;
  const start = view.getUint16(4, true);
  const size = view.getUint16(6, true);
  const [count, joints] = [bytes[8], bytes[9]];
  const least = 6 + 5 * joints + (solid ? 4 + 6 * joints : 0) + (metres ? 16 + 4 * joints + Math.ceil(joints / 8) : 0);
  if (start < HEADER || size < least || start + count * size > bytes.length) throw new Error("cut off");

  const captured_us = Number(view.getBigUint64(14, true)); // exact until the year 2255
  const age_us = view.getUint32(22, true);
  const [width, height] = [view.getUint16(26, true), view.getUint16(28, true)];
  const message = { schema: SCHEMA, seq: view.getUint32(10, true), size_wh: [width, height], people: [] };
  const captured = new Date(captured_us / 1000); // to the millisecond
  if (captured_us && !isNaN(captured)) message.captured = captured.toISOString();
  if (age_us !== NOT_TOLD) message.age_ms = age_us / 1000;
  if (view.getUint16(30, true)) message.predicted_ms = view.getUint16(30, true) / 10;
  if (bytes[3] & 4) message.held = true;

  const ids = (at, length) => Array.from({ length: length >> 2 }, (_, i) => view.getUint32(at + 4 * i, true));
  const text = (at, length) => new TextDecoder().decode(bytes.subarray(at, at + length));
  let measured = []; // a bit for each person who is triangulated where the message says lifted
  for (let at = HEADER; at + 2 <= start; at += 2 + bytes[at + 1]) {
    const [tag, value, length] = [bytes[at], at + 2, bytes[at + 1]];
    if (value + length > start) throw new Error("cut off");
    if (tag === 1) message.skeleton = text(value, length);
    else if (tag === 2) message.entered = ids(value, length);
    else if (tag === 3) message.left = ids(value, length);
    else if (tag === 4) message.ran_on = text(value, length);
    else if (tag === 5) message.source = text(value, length);
    else if (tag === 6 && length === 8) message.media_s = Number(view.getBigInt64(value, true)) / 1e6;
    else if (tag === 7 && length >= 2 && metres) {
      message.space = [, "lifted", "triangulated"][bytes[value]];
      message.frame = [, "camera", "world"][bytes[value + 1]];
    } else if (tag === 8 && metres) measured = bytes.subarray(value, value + length);
  }

  for (let at = start; at < start + count * size; at += size) {
    const person = { id: view.getUint32(at, true) || null, score: view.getUint16(at + 4, true) / 65535, keypoints: [] };
    for (let joint = at + 6; joint < at + 6 + 5 * joints; joint += 5) {
      const [x, y] = [view.getUint16(joint, true), view.getUint16(joint + 2, true)];
      const found = x !== 65535 && y !== 65535;
      const place = (raw, side) => ((raw / 65534) * 2 - 0.5) * side;
      person.keypoints.push(found ? [place(x, width), place(y, height), bytes[joint + 4] / 255] : null);
    }
    if (solid) {
      const first = at + 6 + 5 * joints;
      const step = view.getFloat32(first, true);
      person.xyz = Array.from({ length: joints }, (_, joint) => {
        const raw = [0, 2, 4].map((axis) => view.getInt16(first + 4 + 6 * joint + axis, true));
        const point = raw.map((steps) => Math.fround(steps * step));
        return raw.includes(-32768) || !point.every(Number.isFinite) ? null : point;
      });
      if (count && !metres) message.space = "model";
      if (metres && message.space && message.frame) readSpace(view, first + 4 + 6 * joints, joints, person);
      const who = message.people.length;
      if (message.space === "lifted" && (measured[who >> 3] >> (who & 7)) & 1) person.space = "triangulated";
    }
    message.people.push(person);
  }
  return message;
}

/** What a person's metres are worth: root, sigma, guessed. */
function readSpace(view, at, joints, person) {
  const place = [0, 4, 8].map((axis) => view.getInt32(at + axis, true));
  if (!place.includes(-(2 ** 31))) person.root = [...place, view.getUint32(at + 12, true)].map((mm) => mm / 1000);
  person.sigma = Array.from({ length: joints }, (_, joint) => {
    const raw = [0, 2].map((axis) => view.getUint16(at + 16 + 4 * joint + axis, true));
    return raw.includes(65535) ? null : raw.map((mm) => mm / 1000);
  });
  const bits = at + 16 + 4 * joints;
  const guessed = person.sigma.map((_, joint) => joint).filter((joint) => (view.getUint8(bits + (joint >> 3)) >> (joint & 7)) & 1);
  if (guessed.length) person.guessed = guessed;
}

/** { device, camera } of a topic below the usual root, edgepose/DEVICE/CAMERA. */
export function whereFrom(topic) {
  const [, device, camera] = topic.split("/");
  return { device, camera };
}
