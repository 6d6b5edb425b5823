"""LeRobot datasets of version 3, read and written with pyarrow and PyAV."""
