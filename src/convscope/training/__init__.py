"""Layer 4: recipes, and training as an iterator of events. Knows nothing of folders or screens."""
