"""Learning while acting: the loop, its actor, its state."""
