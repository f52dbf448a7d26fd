"""Receptive field: the pixels that a unit can see, and those that affect it most."""
