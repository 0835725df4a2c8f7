"""The benchmark: each file adds rows to one table."""
