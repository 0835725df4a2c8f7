"""Frames from cameras, streams, files and lists."""
