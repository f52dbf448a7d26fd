"""Layer 0: what everything else may use. Knows nothing of images, networks or runs."""
