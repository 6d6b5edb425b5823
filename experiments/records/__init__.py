"""Row types, CSV and manifest files, intervals."""
