"""What `diagnose` finds, draws and prints."""
