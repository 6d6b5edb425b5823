"""Architecture, goal and reward models, frozen functions, checkpoints."""
