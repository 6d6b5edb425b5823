"""What a representation is learned from, with and without things in the picture that do not matter."""
