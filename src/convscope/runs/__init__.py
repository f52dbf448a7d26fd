"""The run folder: write it from training events, read it as a Classifier."""
