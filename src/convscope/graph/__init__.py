"""A network as a graph of operations, and what is computed from the graph.

Knows nothing of training, runs, files or pictures.
"""
