"""Layers, normalisation, encoders, predictors, heads."""
