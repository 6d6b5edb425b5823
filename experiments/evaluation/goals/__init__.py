"""Evaluation on goals: protocols, policies, rollouts, latency, rows."""
