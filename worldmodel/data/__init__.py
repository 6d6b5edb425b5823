"""Datasets, logs, windows that never cross an episode, replay."""
