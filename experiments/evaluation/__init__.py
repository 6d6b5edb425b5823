"""Evaluation of policies: start states, policies, rollouts and result rows."""
