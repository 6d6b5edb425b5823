"""Terms of training objectives: one idea a file."""
