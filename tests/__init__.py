"""Tests mirror src/heedful folder by folder."""
