"""Diagnostics of a representation: spread, foresight, probes."""
