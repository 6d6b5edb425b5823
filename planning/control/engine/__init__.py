"""What plans a step: the contract with the robot, the interface of an engine, the live one."""
