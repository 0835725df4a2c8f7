"""OpenCV, told to keep its own messages off the terminal: failures are reported by the sources, in one line.

Imported only where a picture is really read. OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL bring the messages back.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")  # seconds; read once, when the library is loaded

import cv2

if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["cv2"]
