"""Measurements of convscope beside its peers, in one run. Start: `python -m benchmarks`."""
