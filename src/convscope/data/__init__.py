"""Layer 2: data sets, splits, augmentation and batches. Nothing is written into a data folder."""
