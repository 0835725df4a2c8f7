// Messages in base64, one a line, from standard input; each as JSON on standard output, null for one that is refused.
import { createInterface } from "node:readline";
import { readPoses } from "./edgepose.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  let message = null;
  try {
    message = readPoses(Buffer.from(line, "base64"));
  } catch {
    // refused
  }
  console.log(JSON.stringify(message));
}
