// People on a canvas, in the picture's own proportions.

import { colour } from "./people.js";

const LEAST = 0.18; // opacity of the least sure joint that was found

/** As many pixels as the screen has; returns the scale. */
export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return ratio;
}

const sure = (score) => LEAST + (1 - LEAST) * Math.min(1, Math.max(0, score));

/** Draw one message; returns what is drawn where, in pixels of the canvas. */
export function drawPicture(canvas, { message, bones, rows, dark, image, dashed = false, clear = true }) {
  const ratio = fit(canvas);
  const pen = canvas.getContext("2d");
  if (clear) pen.clearRect(0, 0, canvas.width, canvas.height);
  const [width, height] = message.size_wh;
  const scale = Math.min(canvas.width / width, canvas.height / height);
  // (0, 0) is the centre of the first pixel
  const at = (point) => [(point[0] + 0.5) * scale, (point[1] + 0.5) * scale];
  if (image && clear) {
    pen.globalAlpha = 0.75;
    pen.drawImage(image, 0, 0, width * scale, height * scale);
    pen.globalAlpha = 1;
  }
  const told = [];
  message.people.forEach((person, row) => {
    const trail = rows[row]?.trail ?? [];
    pen.lineCap = "butt"; // round ones would overlap, and show it
    for (let point = 1; point < trail.length; point++) {
      const age = (trail[trail.length - 1][0] - trail[point][0]) / 3;
      pen.strokeStyle = colour(person.id, dark, 0.55 * (1 - age));
      pen.lineWidth = (1 + 2 * (1 - age)) * ratio;
      stroke(pen, at(trail[point - 1].slice(1)), at(trail[point].slice(1)));
    }
    pen.lineCap = "round";
    told.push(drawPerson(pen, person, bones, at, { dark, ratio, dashed, size: width * scale }));
  });
  return { seq: message.seq, size_wh: message.size_wh, scale, people: told };
}

function drawPerson(pen, person, bones, at, { dark, ratio, dashed, size }) {
  const joints = person.keypoints.map((joint) => joint && at(joint));
  const thick = Math.max(1.6, Math.min(4, size / ratio / 180)) * ratio;
  pen.setLineDash(dashed ? [thick * 0.4, thick * 2] : []);
  let lines = 0;
  for (const [from, to] of bones) {
    if (!joints[from] || !joints[to]) continue;
    const alpha = sure(Math.min(person.keypoints[from][2], person.keypoints[to][2]));
    pen.lineWidth = thick;
    pen.strokeStyle = colour(person.id, dark, alpha);
    stroke(pen, joints[from], joints[to]);
    lines += 1;
  }
  pen.setLineDash([]);
  joints.forEach((joint, index) => {
    if (!joint) return;
    pen.beginPath();
    pen.arc(joint[0], joint[1], thick * 0.85, 0, 2 * Math.PI);
    pen.fillStyle = colour(person.id, dark, sure(person.keypoints[index][2]));
    pen.fill();
  });
  label(pen, person, joints, { dark, ratio });
  return { id: person.id ?? null, joints, lines };
}

function label(pen, person, joints, { dark, ratio }) {
  const there = joints.filter(Boolean);
  if (!there.length || person.id === null || person.id === undefined) return;
  const top = Math.min(...there.map((joint) => joint[1]));
  const x = there.reduce((sum, joint) => sum + joint[0], 0) / there.length;
  const text = String(person.id);
  pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  const [wide, high] = [pen.measureText(text).width + 10 * ratio, 17 * ratio];
  const y = Math.max(high + 2, top - 8 * ratio);
  pen.fillStyle = colour(person.id, dark, 0.95);
  pen.beginPath();
  pen.roundRect(x - wide / 2, y - high, wide, high, 5 * ratio);
  pen.fill();
  pen.fillStyle = dark ? "#101316" : "#ffffff";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(text, x, y - high / 2 + ratio / 2);
}

function stroke(pen, from, to) {
  pen.beginPath();
  pen.moveTo(from[0], from[1]);
  pen.lineTo(to[0], to[1]);
  pen.stroke();
}
