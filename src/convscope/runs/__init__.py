"""Layer 5: the run folder. What training tells becomes files; files become a Classifier again."""
