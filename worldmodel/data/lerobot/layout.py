"""Files of a LeRobot dataset of version 3, and the names in them."""

from __future__ import annotations

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"
EPISODES_PATH = EPISODES + "/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
DATA_MEGABYTES = 100  # of a data file, at most
VIDEO_MEGABYTES = 200  # of a video file, at most

STATE = "observation.state"
OBSERVATION = "observation."
IMAGES = "observation.images."
ACTION = "action"
POSITIONS = "positions"  # ours: what the format has no name for
# The columns of every dataset, with their dtypes: seconds since the episode's first row, the row's number in the
# episode and in the dataset, and the numbers of the episode and of its task.
STANDARD = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
PICTURES = ("video", "image")  # dtypes of cameras: frames of an mp4, or a picture in each row
