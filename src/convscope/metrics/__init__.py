"""Metrics of predictions, as pure functions of logits and targets."""
