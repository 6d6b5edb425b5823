"""What stands beside the world model: other ways to learn to reach goals, behind the same evaluation."""
