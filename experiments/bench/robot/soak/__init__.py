"""A control loop through a long stretch of faults, judged from outside."""
