"""Towards goals: protocols, policies, roll-outs, latency, rows."""
