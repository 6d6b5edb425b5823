"""A simulator in real time, a session with it, and its page."""
