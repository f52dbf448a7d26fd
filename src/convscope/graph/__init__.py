"""Layer 3: a network as a graph of operations, and what can be read from it.

Knows nothing of training, runs, files or pictures.
"""
