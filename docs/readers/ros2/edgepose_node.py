"""ROS 2 node: edgepose's poses from MQTT as PoseArray and as JSON. See README.md; not tested on ROS."""

import json

import paho.mqtt.client as mqtt
import rclpy
from geometry_msgs.msg import Pose, PoseArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String

SCHEMA = "edgepose.poses/1"


class EdgeposeNode(Node):
    """Publishes what one camera sees; the newest wins, as on MQTT."""

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
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = self.connected
        self.client.on_message = self.received
        self.client.connect_async(self.get_parameter("host").value, self.get_parameter("port").value)
        self.client.loop_start()  # a thread of its own, which connects again by itself

    def connected(self, client, _userdata, _flags, reason, _properties):
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
        except (ValueError, KeyError, TypeError) as error:
            self.get_logger().warning(f"not read: {error!r}", throttle_duration_sec=10.0)
            return
        taken = self.get_clock().now() - Duration(nanoseconds=round((message.get("age_ms") or 0) * 1e6))
        self.json.publish(String(data=packet.payload.decode()))
        middles = [middle(joints) for joints in people if joints]
        self.people.publish(self.poses(taken, [(x, y, 0.0) for x, y in middles]))
        self.joints.publish(self.poses(taken, [joint for joints in people for joint in joints]))

    def poses(self, taken, places):
        """Places (x, y, z) as a PoseArray, looking nowhere in particular."""
        array = PoseArray()
        array.header.stamp = taken.to_msg()
        array.header.frame_id = self.frame_id
        for place in places:
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
