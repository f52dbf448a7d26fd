"""Arithmetic: how one number of a network came about."""
