"""Learning from rewards: curves, and what fine-tuning needs."""
