"""Scores to weights. One file each."""
