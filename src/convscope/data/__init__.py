"""Data sets, splits, augmentation and batches. It never writes into a data folder."""
