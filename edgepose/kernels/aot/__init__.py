"""The loops compiled ahead of time into libraries that come with edgepose and are loaded without numba."""
