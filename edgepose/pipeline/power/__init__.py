"""How much a camera is looked at: a motion gate, three states, the board's limits, quiet hours."""
