"""Learn a representation and its dynamics: encoder, predictor and heads, their losses, and training."""
