"""Pictures of a robot's own logs, from videos and folders of PNGs."""
