"""Pictures as a sensor: drawn in parallel, with distractors."""
