"""Planners side by side on one model."""
