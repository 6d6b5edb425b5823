"""Whole programs, short enough to copy from."""
