"""Shift: how predictions change when the image is shifted."""
