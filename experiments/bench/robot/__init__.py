"""Suites on the control loop: real time, faults, process storms, mutants."""
