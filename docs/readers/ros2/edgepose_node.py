"""ROS 2 node: edgepose's poses from MQTT as PoseArray, TF frames and JSON. See README.md; not tested on ROS."""

import json

import paho.mqtt.client as mqtt
import rclpy
from geometry_msgs.msg import Pose, PoseArray, TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String
from tf2_ros import TransformBroadcaster

SCHEMA = "edgepose.poses/1"


class EdgeposeNode(Node):
    """Publishes what one camera or one room sees; the newest wins, as on MQTT."""

    def __init__(self):
        super().__init__("edgepose")
        self.declare_parameter("host", "localhost")
        self.declare_parameter("port", 1883)
        self.declare_parameter("root", "edgepose/pi/camera")
        self.declare_parameter("frame_id", "camera_optical")
        self.frame_id = self.get_parameter("frame_id").value
        self.json = self.create_publisher(String, "~/json", qos_profile_sensor_data)
        self.people = self.create_publisher(PoseArray, "~/people", qos_profile_sensor_data)
        self.joints = self.create_publisher(PoseArray, "~/joints", qos_profile_sensor_data)
        self.bodies = {}
        self.tf = TransformBroadcaster(self)
        version = getattr(mqtt, "CallbackAPIVersion", None)  # paho 1.6, which Debian and Ubuntu have, has none
        self.client = mqtt.Client(version.VERSION2) if version else mqtt.Client()
        self.client.on_connect = self.connected
        self.client.on_message = self.received
        self.client.connect_async(self.get_parameter("host").value, self.get_parameter("port").value)
        self.client.loop_start()  # a thread of its own, which connects again by itself

    def connected(self, client, _userdata, _flags, reason, *_properties):
        """Subscribe after every connection."""
        self.get_logger().info(f"broker: {reason}")
        client.subscribe(self.get_parameter("root").value + "/poses")

    def received(self, _client, _userdata, packet):
        """One message of poses."""
        try:
            message = json.loads(packet.payload)
            if message["schema"] != SCHEMA:
                raise ValueError(f"schema is {message['schema']!r}")
            people = [found_joints(person) for person in message["people"]]
            bodies = {person["id"]: places(person, message["joints"]) for person in message["people"]}
        except (ValueError, KeyError, TypeError) as error:
            self.get_logger().warning(f"not read: {error!r}", throttle_duration_sec=10.0)
            return
        taken = self.get_clock().now() - Duration(nanoseconds=round((message.get("age_ms") or 0) * 1e6))
        self.json.publish(String(data=packet.payload.decode()))
        middles = [middle(joints) for joints in people if joints]
        self.people.publish(self.poses(taken, [(x, y, 0.0) for x, y in middles]))
        self.joints.publish(self.poses(taken, [joint for joints in people for joint in joints]))
        for identity, joints in bodies.items():
            if identity is not None and joints:
                self.body(taken, identity, joints)
        for identity in message.get("left", []):
            self.gone(identity)

    def body(self, taken, identity, joints):
        """One person in metres: joints in order as a PoseArray, by name as TF frames body_ID/NAME."""
        if identity not in self.bodies:
            self.bodies[identity] = self.create_publisher(PoseArray, f"~/body_{identity}", qos_profile_sensor_data)
        self.bodies[identity].publish(self.poses(taken, list(joints.values())))
        for name, place in joints.items():
            self.tf.sendTransform(self.transform(taken, f"body_{identity}/{name}", place))

    def gone(self, identity):
        """Nobody of that identity comes again."""
        publisher = self.bodies.pop(identity, None)
        if publisher is not None:
            self.destroy_publisher(publisher)

    def transform(self, taken, child, place):
        """A frame that is not turned."""
        moved = TransformStamped()
        moved.header.stamp = taken.to_msg()
        moved.header.frame_id = self.frame_id
        moved.child_frame_id = child
        where = moved.transform.translation
        where.x, where.y, where.z = map(float, place)
        moved.transform.rotation.w = 1.0
        return moved

    def poses(self, taken, where):
        """Places (x, y, z) as a PoseArray, looking nowhere in particular."""
        array = PoseArray()
        array.header.stamp = taken.to_msg()
        array.header.frame_id = self.frame_id
        for place in where:
            pose = Pose()
            pose.position.x, pose.position.y, pose.position.z = map(float, place)
            pose.orientation.w = 1.0
            array.poses.append(pose)
        return array


def found_joints(person):
    """[(x, y, score)] of the joints that were found."""
    return [tuple(joint) for joint in person["keypoints"] if joint is not None]


def middle(joints):
    """(x, y) in the middle of them."""
    return tuple(sum(joint[axis] for joint in joints) / len(joints) for axis in (0, 1))


def places(person, names):
    """Name -> (x, y, z) metres in the message's frame, of the joints whose place is known; the mid hip is "root"."""
    root = person.get("root")
    if root is None or person.get("xyz") is None:
        return {}
    known = {name: point for name, point in zip(names, person["xyz"], strict=False) if point is not None}
    joints = {name: tuple(a + b for a, b in zip(root, point, strict=False)) for name, point in known.items()}
    return {"root": tuple(root[:3]), **joints}


def main():
    """Run until Ctrl-C."""
    rclpy.init()
    node = EdgeposeNode()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.client.loop_stop()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
