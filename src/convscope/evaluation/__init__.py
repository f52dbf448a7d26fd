"""Evaluation: a table of predictions, and the metrics computed from it."""
