"""Summary: the shape and the cost of each layer."""
