"""The evaluation: see command.py."""
