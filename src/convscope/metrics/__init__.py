"""Layer 1: metrics as pure functions of logits and targets."""
