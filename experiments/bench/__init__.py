"""The suites: a grid of cells, what is missing of it, rows, a figure."""
