"""Evaluation on rewards: returns, policies, true dynamics, rows."""
