"""Recipes, and training as an iterator of events. It neither writes files nor prints."""
