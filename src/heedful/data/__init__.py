"""Readers, tokenisers, batching by length, bundled sets."""
