"""Tasks of gymnasium-robotics' Fetch: one arm, whose hand follows a mocap body, and what it does."""
