// Shows the people that all boards see, and who enters and leaves: npm install mqtt, then
//   node live.mjs mqtt://localhost
import mqtt from "mqtt";
import { readPoses, whereFrom } from "./edgepose.mjs";

const client = mqtt.connect(process.argv[2] ?? "mqtt://localhost", { protocolVersion: 5 });
const lastNumber = new Map(); // of each event stream: one that is not above it is a repeat

client.on("connect", () => {
  client.subscribe("edgepose/+/+/poses", { qos: 0 });
  client.subscribe("edgepose/+/+/events", { qos: 1 });
});
client.on("message", (topic, payload) => {
  const { device, camera } = whereFrom(topic);
  try {
    if (topic.endsWith("/poses")) {
      const message = readPoses(payload);
      const people = message.people.map((person) => {
        const found = person.keypoints.filter((keypoint) => keypoint !== null).length;
        return `${person.id ?? "?"} (${found} joints)`;
      });
      console.log(`${device}/${camera} frame ${message.seq}: ${people.join(", ") || "nobody"}`);
    } else {
      const event = JSON.parse(payload.toString());
      if (event.number <= (lastNumber.get(topic) ?? -1)) return;
      lastNumber.set(topic, event.number);
      console.log(`${device}/${camera} ${event.id} ${event.type}`);
    }
  } catch (error) {
    console.error(`${topic}: ${error.message}`); // not ours, or of a newer version
  }
});
client.on("error", (error) => console.error(error.message));
