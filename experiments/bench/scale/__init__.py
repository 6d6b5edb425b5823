"""What an engine costs and keeps: equal rows, nothing lost, overhead, speed-up, and the makespan of many machines."""
