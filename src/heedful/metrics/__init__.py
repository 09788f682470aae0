"""Metrics: quality of translations, and properties of attention weights.

- `heedful.metrics.translation`: BLEU, chrF, tokenised BLEU, any of them by sentence length
- `heedful.metrics.alignment`: links between words from attention weights, and their text form
- `heedful.metrics.evidence`: entropy, sharpness, coverage and the other numbers that describe an attention map
"""
