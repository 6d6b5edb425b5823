"""Bundles that were damaged or forged on purpose."""
