"""Layer 4: evaluation: a table of predictions, and the metrics computed from it."""
