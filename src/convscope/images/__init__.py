"""Layer 1: image files to pixels, pixels to the network's input, and pictures back out."""
