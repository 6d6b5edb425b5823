"""Is this representation healthy: spread, foresight, probes."""
