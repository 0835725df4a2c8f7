"""Programs for people who build edgepose."""
