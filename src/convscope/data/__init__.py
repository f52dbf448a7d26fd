"""Data sets, splits, augmentation and batches. Nothing here writes into a data folder."""
