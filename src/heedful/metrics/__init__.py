"""Metrics: quality of translations, and properties of attention weights.

- `heedful.metrics.translation`: BLEU, chrF, tokenised BLEU, any of them by sentence length
- `heedful.metrics.strings`: word error rate, phone error rate and exact matches of short outputs, any reference counts
- `heedful.metrics.captions`: BLEU, chrF, CIDEr-D, exact matches and character error rate, several references each
- `heedful.metrics.significance`: whether one model scores better than another, by the paired bootstrap
- `heedful.metrics.counts`: every metric as sums over examples, which that bootstrap draws from
- `heedful.metrics.alignment`: links between words from attention weights, their text form, and their error rate
- `heedful.metrics.evidence`: entropy, sharpness, coverage and the other numbers that describe an attention map; what
  several layers make of their maps, and gradients
- `heedful.metrics.classification`: accuracy, precision, recall and F1 by label and relation, their means, calibration
- `heedful.metrics.faithfulness`: whether the tokens that weigh most matter to the answer
"""
