"""Errors, atomic files, frozen values and devices. It knows no images, networks or runs."""
