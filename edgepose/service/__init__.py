"""What a supervised service does around the loop: signals, watchdog, commands, health, metrics."""
