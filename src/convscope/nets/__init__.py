"""Layer 2: networks, and the Classifier: weights, preprocessing and class names together."""
