"""Success against the share of labelled steps."""
