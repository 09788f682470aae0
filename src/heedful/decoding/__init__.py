"""Greedy, beam, sampling: one file each, over any model that offers a step."""
