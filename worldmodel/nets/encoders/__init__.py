"""Encoders: one of each kind of sensor, and the one that fuses a history of all into a latent."""
