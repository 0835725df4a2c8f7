// Times decodeMultiplePoses of @tensorflow-models/posenet on heads that are already real values and scores.
// node personlab.js FOLDER: reads FOLDER/cases.json, then for each line "CASE CALLS" answers
// {"us": [time of each call], "poses": people found}.
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const {buffer} = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-cpu');
const {decodeMultiplePoses} = require('@tensorflow-models/posenet');

const folder = process.argv[2];
const cases = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json'))).map(({name, height, width}) => {
  const head = (role, channels) => {
    const bytes = fs.readFileSync(path.join(folder, `${name}.${role}`));
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
    return buffer([height, width, channels], 'float32', values);
  };
  return [head('score', 17), head('short', 34), head('outwards', 32), head('inwards', 32)];
});

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const [index, calls] = line.split(' ').map(Number);
  const us = [];
  let poses = [];
  for (let i = 0; i < calls; i++) {
    const started = process.hrtime.bigint();
    poses = decodeMultiplePoses(...cases[index], 16, 10, 0.2, 10);
    us.push(Number(process.hrtime.bigint() - started) / 1e3);
  }
  console.log(JSON.stringify({us, poses: poses.length}));
});
