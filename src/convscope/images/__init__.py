"""Layer 1: decode image files, preprocess pixels for a network, filter images."""
