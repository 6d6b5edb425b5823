"""One file for the robot: programs, weights, contract, and the engine that runs them."""
