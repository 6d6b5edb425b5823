"""The web page to watch and steer a drive."""
