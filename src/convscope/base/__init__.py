"""Errors, atomic files, frozen values and devices. It is independent of images and networks."""
