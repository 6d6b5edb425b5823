"""The code around every command: errors for users, progress, folders, interrupts."""
