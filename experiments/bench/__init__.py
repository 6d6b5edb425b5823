"""The benchmark suites: each measures the missing points of a grid and writes rows and a figure."""
