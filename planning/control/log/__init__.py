"""Messages and lines of a robot, written off the control path."""
