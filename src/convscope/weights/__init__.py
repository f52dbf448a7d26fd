"""Layer 2: weights from elsewhere: read without running anything, and fitted to a network."""
