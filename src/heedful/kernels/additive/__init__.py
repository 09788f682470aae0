"""Additive scores without a tanh in the inner loop."""
