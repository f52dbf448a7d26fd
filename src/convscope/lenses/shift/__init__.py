"""Shift: what moving the image does to a network's answers."""
