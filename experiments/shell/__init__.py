"""What surrounds every command: errors for users, progress, folders, interrupts."""
