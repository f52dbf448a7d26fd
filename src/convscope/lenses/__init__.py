"""Lenses: each folder is one way to look at a network."""
