"""The loops compiled ahead of time into libraries that are loaded without numba."""
