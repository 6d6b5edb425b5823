"""For rewards: returns, policies, true dynamics, rows."""
