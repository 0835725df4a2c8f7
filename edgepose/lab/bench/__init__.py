"""`edgepose bench`: the board's own numbers for a configured pipeline, from the camera to a subscriber."""
