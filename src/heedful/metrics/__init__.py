"""BLEU, chrF and what attention looks like in numbers."""
