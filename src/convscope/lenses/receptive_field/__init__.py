"""Receptive field: what a unit can see of an image, and what it uses."""
