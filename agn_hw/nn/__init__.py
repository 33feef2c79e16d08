"""Quantised networks whose multiplications go through tables."""
