"""One of several consumers that share a fleet's messages: the broker gives each message to one of them.

  python shared_consumer.py mqtt-host                    start it as often as the work needs, on as many machines
  python shared_consumer.py mqtt-host --group archive    another group gets every message once more

Needs MQTT 5 and paho-mqtt. A shared subscription is `$share/GROUP/FILTER`. What follows from sharing:

- Messages of one camera go to different consumers, which finish them in any order. Share what stands for itself:
  events into a database, poses to be counted. A consumer that follows people over time wants boards of its own
  instead: `--topic edgepose/hall-1/+/poses`, without others in its group.
- An event may come twice, also to two consumers: (device, camera, number) is its key, so let the database refuse the
  second one. QoS 1 and a session that the broker keeps (`--name`) bring events that came while a consumer was away to
  it or to another of its group.
- Live poses are shared with QoS 0: a consumer that is too slow is to miss some, not to pile them up.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def consume(message: dict[str, Any]) -> None:
    """Your work: here one line a message. Raise nothing; take less time than there is between messages."""
    if message["schema"] == "edgepose.event/1":
        key = [message["device"], message["camera"], message["number"]]
        print(json.dumps([*key, message["type"], message["id"]]), flush=True)
    elif message["schema"] == "edgepose.poses/1":
        print(json.dumps([message["device"], message["camera"], message["seq"], len(message["people"])]), flush=True)


def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
    """One message; what is no JSON of ours is left alone."""
    try:
        read = json.loads(message.payload)
        known = isinstance(read, dict) and isinstance(read.get("schema"), str)
    except ValueError:
        return
    if known:
        consume(read)


def main() -> None:
    """Consume until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--group", default="edgepose", help="who shares; default %(default)s")
    parser.add_argument("--topic", default="edgepose/+/+/events", help="what; default %(default)s")
    parser.add_argument("--name", default="", help="of this consumer, its own: the broker keeps its session an hour")
    args = parser.parse_args()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, args.name, protocol=mqtt.MQTTv5)
    qos = 0 if args.topic.endswith("/poses") else 1
    client.on_connect = lambda *_: client.subscribe(f"$share/{args.group}/{args.topic}", qos)
    client.on_subscribe = lambda *_: print(f"sharing {args.topic} in group {args.group}", file=sys.stderr, flush=True)
    client.on_message = on_message
    client.reconnect_delay_set(1, 10)
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 3600 if args.name else 0
    client.connect(args.host, args.port, clean_start=not args.name, properties=session)
    client.loop_forever()


if __name__ == "__main__":
    main()
