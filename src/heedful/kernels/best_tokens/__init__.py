"""The best few of each row of logits, and the logarithm of the sum of all exponentials, in one pass over the memory."""
