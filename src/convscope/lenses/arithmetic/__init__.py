"""Arithmetic: how one activation of a network is computed."""
