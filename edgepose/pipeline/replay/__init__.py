"""A recording through the stages after the estimate, once more."""
