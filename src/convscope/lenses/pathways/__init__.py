"""Pathways: which units carried a class's logit, and the proof."""
