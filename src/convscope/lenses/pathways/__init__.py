"""Pathways: the units that contribute most to a class's logit, tested by ablation."""
