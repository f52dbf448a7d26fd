"""Filters: the kernels of a network's convolutions, now and before training."""
