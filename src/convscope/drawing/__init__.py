"""Colours, sheets of maps, titles and legends, arrays: what pictures are made of."""
