"""Small physical worlds seen from the side, in which the possible happens, and in tests the impossible."""
