"""A network on an accelerator: tried, compared with the CPU, supervised in a child process."""
