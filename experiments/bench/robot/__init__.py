"""The control loop on trial: real time, faults, storms, mutants."""
