"""A robot's log messages and lines, written off the control path."""
