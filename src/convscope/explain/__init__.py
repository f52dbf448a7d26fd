"""Layer 4: explanations, as pure functions of traces. Knows nothing of training or runs."""
