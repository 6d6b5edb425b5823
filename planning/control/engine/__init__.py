"""The planning step: the contract with the robot, the interface of an engine, and the live engine."""
