"""Losses as sums over what counts in a batch: padding is in neither the sum nor the count.

Label smoothing is that of Szegedy et al. 2016 (https://arxiv.org/abs/1512.00567), section 7.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.functional import cross_entropy as torch_cross_entropy

from heedful.data.batching import Batch
from heedful.data.examples import ExampleBatch
from heedful.data.vocabulary import PAD
from heedful.functional import Loss as Loss
from heedful.functional import TokenTarget, cross_entropy


def label_smoothed_cross_entropy(
    logits: Float[Tensor, "batch target_len vocabulary"],
    target_out: Int[Tensor, "batch target_len"],
    smoothing: float = 0.0,
) -> Loss:
    """Sum, over the tokens that are not padding, of the cross-entropy (in nats) with a smoothed target.

    The target distribution is `1 - smoothing` on the right token plus `smoothing / vocabulary` on every token.

    Args:
        logits: Unnormalised scores; half precisions are summed in float32.
        target_out: The right ids; positions that hold PAD do not count.
        smoothing: Mass spread evenly over the vocabulary, in [0, 1).

    Returns:
        `Loss(total, tokens, correct)`. A position is correct when no token scores above the right one.

    Raises:
        ValueError: If `smoothing` lies outside [0, 1).

    Example:
        >>> loss = label_smoothed_cross_entropy(torch.zeros(1, 3, 4), torch.tensor([[2, 3, 0]]))
        >>> round(loss.total.item(), 4), loss.tokens.item()  # 2 log 4, and two real tokens
        (2.7726, 2)
    """
    return cross_entropy(logits, TokenTarget(target_out, smoothing, PAD))


def sequence_loss(model: nn.Module, batch: Batch, smoothing: float = 0.0, **options: float) -> Loss:
    """The loss of a model that maps `(source, source_lengths, target_in)` to logits over the target vocabulary.

    Args:
        model: An encoder-decoder, or anything that is called like one.
        batch: Sentence pairs on the model's device.
        smoothing: As in `label_smoothed_cross_entropy`.
        options: Further arguments of the model's forward, such as `teacher_forcing`.
    """
    return _token_loss(
        model, (batch.source, batch.source_lengths, batch.target_in), batch.target_out, smoothing, options
    )


def next_token_loss(model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Loss:
    """The loss of a language model, which maps `target_in` to logits of the next token; the source is not read.

    Args:
        model: A decoder-only model, or anything that is called like one.
        batch: Its targets are the texts.
        smoothing: As in `label_smoothed_cross_entropy`.
    """
    return _token_loss(model, (batch.target_in,), batch.target_out, smoothing, {})


def _token_loss(
    model: nn.Module, inputs: tuple[Tensor, ...], ids: Tensor, smoothing: float, options: Mapping[str, float]
) -> Loss:
    """The loss of a model's own output layer, which keeps no logits, or that of its logits."""
    if getattr(model, "gives_loss", False):
        return model(*inputs, target=TokenTarget(ids, smoothing, PAD), **options)
    return label_smoothed_cross_entropy(model(*inputs, **options), ids, smoothing)


def binary_loss(model: nn.Module, batch: ExampleBatch, smoothing: float = 0.0) -> Loss:
    """Cross-entropy (in nats) of a model that answers yes or no: one logit for each example, above 0 for yes.

    Args:
        model: Maps `(inputs, lengths)` to what has a field `answer` [batch].
        batch: Its answers are 1 (yes) and 0 (no).
        smoothing: The right answer is held for so much less certain, in [0, 1).
    """
    logits = model(batch.inputs, batch.lengths).answer
    right = batch.answers.to(logits.dtype)
    each = binary_cross_entropy_with_logits(logits, right * (1 - smoothing) + smoothing / 2, reduction="none")
    hits = (logits.detach() > 0) == (batch.answers > 0)
    return Loss((each * batch.counts).sum(), batch.counts.sum(), (hits & batch.counts).sum())


def label_loss(
    model: nn.Module,
    batch: ExampleBatch,
    smoothing: float = 0.0,
    weights: Float[Tensor, " labels"] | None = None,
) -> Loss:
    """Cross-entropy (in nats) of a model that chooses one of several labels for each example.

    The target is `1 - smoothing` on the right label plus `smoothing / labels` on every label.

    Args:
        model: Maps `(inputs, lengths)` to what has a field `answer` [batch, labels], logits.
        batch: Its answers are the places of the right labels, from 0.
        smoothing: Mass spread evenly over the labels, in [0, 1).
        weights: How much an example counts in the sum, by its right label; 1 for all when left out.

    Returns:
        `Loss(total, examples, correct)`; an example is correct when no label scores above the right one.
    """
    logits = model(batch.inputs, batch.lengths).answer
    each = torch_cross_entropy(logits, batch.answers, reduction="none", label_smoothing=smoothing)
    if weights is not None:
        each = each * weights.to(each)[batch.answers]
    own = logits.detach().gather(1, batch.answers.unsqueeze(1)).squeeze(1)
    hits = own >= logits.detach().amax(1)
    return Loss((each * batch.counts).sum(), batch.counts.sum(), (hits & batch.counts).sum())


def absolute_loss(model: nn.Module, batch: ExampleBatch, smoothing: float = 0.0) -> Loss:
    """Absolute error of a model that answers with one number for each example; no answer counts as right or wrong.

    Args:
        model: Maps `(inputs, lengths)` to what has a field `answer` [batch].
        batch: Its answers are numbers.
        smoothing: 0: a number is not smoothed.

    Raises:
        ValueError: If `smoothing` is not 0.
    """
    if smoothing:
        raise ValueError(f"smoothing is {smoothing}; the answers are numbers, which have none: leave it at 0")
    errors = (model(batch.inputs, batch.lengths).answer - batch.answers).abs()
    total = (errors * batch.counts).sum()
    return Loss(total, batch.counts.sum(), torch.full_like(total, torch.nan))


def squared_loss(model: nn.Module, batch: ExampleBatch, smoothing: float = 0.0) -> Loss:
    """Mean squared error of a model that answers with several numbers for each example, the mean over these numbers.

    Args:
        model: Maps `(inputs, lengths)` to what has a field `answer` [batch, ...].
        batch: Its answers are numbers.
        smoothing: 0: a number is not smoothed.

    Raises:
        ValueError: If `smoothing` is not 0.
    """
    if smoothing:
        raise ValueError(f"smoothing is {smoothing}; the answers are numbers, which have none: leave it at 0")
    errors = (model(batch.inputs, batch.lengths).answer - batch.answers).square().flatten(1).mean(1)
    total = (errors * batch.counts).sum()
    return Loss(total, batch.counts.sum(), torch.full_like(total, torch.nan))
