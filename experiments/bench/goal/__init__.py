"""Towards goals: success over a grid of budgets and goals, pairs, constraints, partial goals."""
