"""Suites on goal tasks: success over a grid, paired comparisons, constraints, partial goals."""
