"""Encoders, decoders and what they make together."""
