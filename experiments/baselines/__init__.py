"""Baselines for the world model: other methods of learning to reach goals, with the same evaluation."""
