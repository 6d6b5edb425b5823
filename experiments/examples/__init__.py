"""Complete example programs, short enough to copy from."""
