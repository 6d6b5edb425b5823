"""The commands, one file each: `run(cfg)` does the work and prints."""
