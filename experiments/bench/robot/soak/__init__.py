"""The soak test: a control loop under a long series of faults, with an independent judge."""
