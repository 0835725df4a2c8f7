"""Poses -> Poses: who is who (track), how they move (smooth)."""
