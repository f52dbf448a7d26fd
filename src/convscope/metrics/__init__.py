"""Layer 1: pure functions of logits and targets, used by training and evaluation alike."""
