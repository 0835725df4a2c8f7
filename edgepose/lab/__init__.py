"""Measure and show, never on the hot path."""
