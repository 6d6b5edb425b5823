"""What can be typed: the settings with their meanings, the help of each command, and lists of what there is."""
