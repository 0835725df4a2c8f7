// Runs an original TensorFlow.js graph on one picture, in Node.js.
//
//   node original.mjs NODE_FOLDER MODEL.json PICTURE HEIGHT WIDTH OUT NODE...
//
// NODE_FOLDER holds node_modules; MODEL.json has its .bin beside it; PICTURE is HEIGHT x WIDTH x 3 bytes, rgb.
// OUT gets the values of the named nodes, float32, one after another; their shapes are printed as JSON.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const [folder, topologyPath, picturePath, height, width, outPath, ...names] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");

await tf.setBackend("cpu");
const topology = JSON.parse(readFileSync(topologyPath, "utf8"));
const weightSpecs = topology.weightsManifest.flatMap((group) => group.weights);
const files = topology.weightsManifest.flatMap((group) => group.paths);
const weights = Buffer.concat(files.map((path) => readFileSync(join(dirname(topologyPath), path))));
const weightData = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length);
const model = await loadGraphModel({ load: async () => ({ ...topology, weightSpecs, weightData }) });

const picture = tf.tensor(new Int32Array(readFileSync(picturePath)), [1, Number(height), Number(width), 3], "int32");
const tensors = [await model.executeAsync(picture, names)].flat();
const values = tensors.map((tensor) => Buffer.from(new Float32Array(tensor.dataSync()).buffer));
writeFileSync(outPath, Buffer.concat(values));
console.log(JSON.stringify(tensors.map((tensor) => tensor.shape)));
