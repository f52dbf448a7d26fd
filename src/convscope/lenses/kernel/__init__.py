"""Kernel: an image filtered by one kernel."""
