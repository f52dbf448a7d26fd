"""Networks, and the Classifier, which adds preprocessing and class names to a network."""
