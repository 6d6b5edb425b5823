"""Tasks of outside suites behind the face of `envs.task.Task`."""
