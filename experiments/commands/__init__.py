"""One file a command: `run(cfg)` does the work and prints."""
