"""Speed of goal training: two checkouts compared, and where an update spends its time."""
