"""Recipes, and training as an iterator of events. Nothing here writes files or prints."""
