"""Cross-entropy of an output layer, block by block: the logits of a large vocabulary are never held at once."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from .products import linear

# Logits of a block: on a CPU they stay in the cache, a GPU wants large products.
BLOCK = {"cpu": 1 << 21, "cuda": 1 << 27}


class TokenTarget(NamedTuple):
    """The right ids `[..., steps]`; the mass that is spread over the vocabulary; the id of what does not count."""

    ids: Int[Tensor, "*batch steps"]
    smoothing: float = 0.0
    ignored: int = -100


class Loss(NamedTuple):
    """Three sums over what counts, as tensors of one number; for a mean, divide by `tokens`.

    `total`: the loss, in nats where it is a cross-entropy. `correct`: where nothing scored above the right answer.
    """

    total: Float[Tensor, ""]
    tokens: Int[Tensor, ""]
    correct: Int[Tensor, ""]


def cross_entropy(logits: Float[Tensor, "*batch steps vocabulary"], target: TokenTarget) -> Loss:
    """Sum of the cross-entropies (in nats) of `softmax(logits)` with a smoothed target.

    The target distribution is `1 - smoothing` on the right token plus `smoothing / vocabulary` on every token.

    Args:
        logits: unnormalised scores, `[..., steps, vocabulary]`; half precisions are summed in float32.
        target: with ids `[..., steps]`.

    Raises:
        ValueError: the smoothing lies outside [0, 1).

    >>> loss = cross_entropy(torch.zeros(1, 3, 4), TokenTarget(torch.tensor([[2, 3, 0]]), ignored=0))
    >>> round(loss.total.item(), 4), loss.tokens.item()  # 2 log 4, and two tokens that count
    (2.7726, 2)
    """
    ids, smoothing, ignored = target
    _check_smoothing(smoothing)
    real = ids != ignored
    scores = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    total = functional.cross_entropy(
        scores.flatten(0, -2), ids.flatten(), ignore_index=ignored, reduction="sum", label_smoothing=smoothing
    )
    with torch.no_grad():
        # largest against right score: ten times cheaper than argmax over a vocabulary
        right = scores.gather(-1, (ids * real).unsqueeze(-1)).squeeze(-1)
        correct = ((right == scores.amax(-1)) & real).sum()
    return Loss(total, real.sum(), correct)


def output_cross_entropy(
    features: Float[Tensor, "tokens features"],
    weight: Float[Tensor, "vocabulary features"],
    bias: Float[Tensor, " vocabulary"],
    target: TokenTarget,
) -> Loss:
    """`cross_entropy(linear(features, weight, bias), target)`, whose logits are never held at once.

    It goes over blocks of tokens and computes their gradients with the loss: memory grows with the features, not with
    tokens * vocabulary. Half precision is summed in float32. It can be differentiated once.

    Args:
        features: `[tokens, features]`.
        weight: of the output layer, `[vocabulary, features]`.
        bias: of the output layer, `[vocabulary]`.
        target: with ids `[tokens]`.

    Raises:
        ValueError: the smoothing lies outside [0, 1).

    >>> target = TokenTarget(torch.tensor([2, 3]))
    >>> round(output_cross_entropy(torch.zeros(2, 3), torch.ones(4, 3), torch.zeros(4), target).total.item(), 4)
    2.7726
    """
    ids, smoothing, ignored = target
    _check_smoothing(smoothing)
    if torch.is_autocast_enabled(features.device.type):
        features = features.to(torch.get_autocast_dtype(features.device.type))
    real = ids != ignored
    parts = features, weight, bias
    needs_grad = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    total, correct = _CrossEntropy.apply(*parts, ids * real, real, smoothing, needs_grad)  # pyright: ignore[reportGeneralTypeIssues]: of autograd
    return Loss(total, real.sum(), correct)


def _check_smoothing(smoothing: float) -> None:
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must lie in [0, 1), and 0.1 is usual")


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, weight, bias, ids, real, smoothing, needs_grad):
        matrix, offset = weight.to(features.dtype), bias.to(features.dtype)
        wide = torch.promote_types(features.dtype, torch.float32)
        total, correct = features.new_zeros((), dtype=torch.float64), ids.new_zeros(())
        parts = features, weight, bias
        slopes = [torch.zeros_like(part, dtype=wide) for part in parts] if needs_grad else []
        rows = max(1, BLOCK.get(features.device.type, BLOCK["cuda"]) // len(weight))
        for start in range(0, len(features), rows):
            block, right, counts = (part[start : start + rows] for part in (features, ids, real))
            right, counts = right.unsqueeze(1), counts.unsqueeze(1)
            logits = linear(block, matrix, offset).to(wide)
            largest, chosen = logits.amax(1, keepdim=True), logits.gather(1, right)
            wanted = (1 - smoothing) * chosen + smoothing * logits.mean(1, keepdim=True) if smoothing else chosen
            powers = logits.sub_(largest).exp_()
            mass = powers.sum(1, keepdim=True)
            total += torch.where(counts, largest + mass.log() - wanted, 0.0).sum()
            correct += ((chosen == largest) & counts).sum()
            if needs_grad:
                # softmax minus the smoothed target
                share = counts.to(wide)
                slope = powers.mul_(share / mass).sub_(share * (smoothing / len(weight)))
                slope.scatter_add_(1, right, share * (smoothing - 1))
                slopes[2] += slope.sum(0)
                narrow = slope.to(features.dtype)
                slopes[0][start : start + rows] = linear(narrow, matrix.t())
                slopes[1] += linear(narrow.t(), block.t())
        ctx.slopes, ctx.dtypes = slopes, [part.dtype for part in parts]
        ctx.mark_non_differentiable(correct)
        return total.to(wide), correct

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, _):
        slopes = ((slope * grad).to(dtype) for slope, dtype in zip(ctx.slopes, ctx.dtypes, strict=True))
        return *slopes, None, None, None, None
