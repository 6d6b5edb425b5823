"""Figures, curves and page of `diagnose`."""
