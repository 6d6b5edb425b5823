"""Tasks of external suites behind the interface of `envs.task.Task`."""
