"""Terms of training objectives: one idea per file."""
