"""The simulator in a separate process."""
