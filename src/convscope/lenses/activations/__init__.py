"""Activations: the output of each layer for one image."""
