"""Latency of plans, and the overhead of the host code around them."""
