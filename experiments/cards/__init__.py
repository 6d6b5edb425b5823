"""The card beside a model: what it is, what it was measured to do, and what it has not seen."""
