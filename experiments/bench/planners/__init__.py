"""Comparison of planners on the same models."""
