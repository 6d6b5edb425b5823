"""Who starts where, policies, roll-outs, and one measured row."""
