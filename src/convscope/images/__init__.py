"""Decode image files, preprocess pixels for a network, filter images."""
