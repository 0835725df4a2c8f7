"""Heads become Poses, one file per head family."""
