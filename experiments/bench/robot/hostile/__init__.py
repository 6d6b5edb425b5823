"""The suite on deliberately damaged or forged bundles."""
