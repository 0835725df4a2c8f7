"""The doctor: see command.py."""
