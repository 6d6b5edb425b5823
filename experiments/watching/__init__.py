"""What a training shows while it runs: scalars in a CSV, and in whatever other tools the settings name."""
