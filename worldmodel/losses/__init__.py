"""The parts that training objectives are composed of: one idea a file."""
