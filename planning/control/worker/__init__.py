"""Who plans beside the loop: in line, in a thread, in a process."""
