"""Fused fast paths, one folder per operator."""
