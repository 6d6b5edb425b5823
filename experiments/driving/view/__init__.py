"""The page to watch and steer."""
