"""The benchmark: see command.py."""
