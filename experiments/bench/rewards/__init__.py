"""Suites on learning from rewards: learning curves and fine-tuning."""
