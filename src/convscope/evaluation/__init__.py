"""Layer 4: one table of predictions, and every figure computed from it."""
