"""What crosses rooms: records, settings, errors; a closed list."""
