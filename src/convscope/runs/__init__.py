"""Layer 5: the run folder: write it from training events, read it as a Classifier."""
