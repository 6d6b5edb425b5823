"""What `compare` finds, draws and prints."""
