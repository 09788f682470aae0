"""Losses on attention weights, to add to a model's loss, one a file.

All take weights `[batch, queries, keys]` with a gradient, and boolean masks, True = real: `query_mask [batch, queries]`
and `key_mask [batch, keys]`. What is hidden has no part in anything. The mean is over the batch items that have a real
query and a real key; no such item gives 0. Sums are float32 or wider. None has a factor: multiply by one.
"""

from .attention_entropy import attention_entropy as attention_entropy
from .attention_sharpness import attention_sharpness as attention_sharpness
from .coverage_loss import coverage_loss as coverage_loss
from .doubly_stochastic_loss import doubly_stochastic_loss as doubly_stochastic_loss
from .fertility_loss import fertility_loss as fertility_loss
from .guided_alignment_loss import AlignmentLoss as AlignmentLoss
from .guided_alignment_loss import guided_alignment_loss as guided_alignment_loss
from .guided_attention_loss import guided_attention_loss as guided_attention_loss
from .head_diversity_loss import head_diversity_loss as head_diversity_loss
from .hop_penalty import hop_penalty as hop_penalty
from .monotonicity_penalty import monotonicity_penalty as monotonicity_penalty
