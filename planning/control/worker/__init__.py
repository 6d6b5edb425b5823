"""Workers that plan for the loop: inline, in a thread, in a process."""
