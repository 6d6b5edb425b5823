"""What is right and wrong with an environment or with recorded data, before anything is trained."""
