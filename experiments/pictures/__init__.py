"""Pictures in files: goals, the frames that a model remembers, and what its cameras usually show."""
