"""Trains the network that lifts 2D poses to 3D."""
