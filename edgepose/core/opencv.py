"""OpenCV, told to keep its own messages off the terminal: failures are reported by who met them, in one line.

Imported only where a picture is touched. OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL bring the messages back.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")  # seconds; read once, when the library is loaded

import cv2

if "OPENCV_LOG_LEVEL" not in os.environ:
    silence = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    silence(0)

__all__ = ["cv2"]
