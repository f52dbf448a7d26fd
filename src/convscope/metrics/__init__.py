"""Metrics as pure functions of logits and targets."""
