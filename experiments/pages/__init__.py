"""HTML, SVG and video, from records alone."""
