"""Shared parts of the explorer's routes: the network, its images, recorded passes."""
