"""What `tools/arm64` runs: set-up of an emulated board, and answers of both machines to compare."""
