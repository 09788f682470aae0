"""Several models as one: the next token's distribution is the mean of theirs."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from heedful.models.protocol import StepModel, StepOutput

from ._evaluation import keys_of


class Ensemble(nn.Module):
    """Models that read the same source and say the same ids, averaged at every step; every search takes it.

    The models may be of different kinds (recurrent beside a Transformer). A mean of probabilities lets one confident
    model decide; a mean of log-probabilities, which the search normalises, needs all of them to agree. Weights are the
    mean over the models that have attention, heads those of each of them in order. One model is the model alone.

    Args:
        models: anything with `encode`, `start` and `step`; at least one.
        mean: "probabilities" or "log_probabilities".

    Raises:
        ValueError: no model, another mean; at the first step, vocabularies of different sizes.

    >>> from types import SimpleNamespace
    >>> def constant(*probs):
    ...     return SimpleNamespace(
    ...         encode=lambda source, lengths: source,
    ...         start=lambda encoded: None,
    ...         step=lambda tokens, state, encoded, need_weights: (StepOutput(torch.tensor([probs]).log()), state),
    ...     )
    >>> both = Ensemble([constant(0.5, 0.5), constant(0.1, 0.9)])
    >>> source = both.encode(torch.tensor([[4]]), torch.tensor([1]))
    >>> both.step(torch.tensor([2]), both.start(source), source)[0].logits.exp()
    tensor([[0.3000, 0.7000]])
    """

    def __init__(
        self,
        models: Sequence[StepModel],
        mean: str = "probabilities",
    ) -> None:
        super().__init__()
        if not models:
            raise ValueError("models is empty; an ensemble needs at least one model")
        if mean not in ("probabilities", "log_probabilities"):
            raise ValueError(f"mean is {mean!r}; expected 'probabilities' or 'log_probabilities'")
        self.members: tuple[Any, ...] = tuple(models)
        self.mean = mean
        # registered, so that the search puts each of them into evaluation mode
        self.modules_of_members = nn.ModuleList(model for model in models if isinstance(model, nn.Module))

    def encode(self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"]) -> tuple[Any, ...]:
        """What each model read."""
        return tuple(model.encode(source, lengths) for model in self.members)

    def regions_of(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How much is left to look at of sources of such lengths, by the first model."""
        return keys_of(self.members[0], lengths)

    def start(self, encoded: tuple[Any, ...]) -> tuple[Any, ...]:
        """Each model's state before the first token."""
        return tuple(model.start(memory) for model, memory in zip(self.members, encoded, strict=True))

    def step(
        self,
        tokens: Int[Tensor, " batch"],
        state: tuple[Any, ...],
        encoded: tuple[Any, ...],
        need_weights: bool = False,
    ) -> tuple[StepOutput, tuple[Any, ...]]:
        """One step of every model. The logits are logarithms of the mean, up to a constant."""
        steps = [
            model.step(tokens, own, memory, need_weights=need_weights)
            for model, own, memory in zip(self.members, state, encoded, strict=True)
        ]
        outputs = [output for output, _ in steps]
        sizes = [output.logits.shape[1] for output in outputs]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"the models' vocabularies have {sizes} tokens; an ensemble needs models of one vocabulary"
            )
        log_probs = torch.stack([output.logits.log_softmax(1) for output in outputs])
        if self.mean == "probabilities":
            logits = log_probs.logsumexp(0) - math.log(len(outputs))
        else:
            logits = log_probs.mean(0)
        looked = [output.weights for output in outputs if output.weights is not None]
        weights = torch.stack(looked).mean(0) if looked else None
        heads = tuple(heads for output in outputs for heads in output.heads)
        return StepOutput(logits, weights, heads), tuple(own for _, own in steps)

    def align(
        self,
        source: Shaped[Tensor, "batch source_len ..."],
        lengths: Int[Tensor, " batch"],
        target_in: Int[Tensor, "batch target_len"],
    ) -> Float[Tensor, "batch target_len source_len"] | None:
        """What each target position looks at when it is fed a given target, on average; see `Seq2Seq.align`."""
        looked = [model.align(source, lengths, target_in) for model in self.members]
        found = [weights for weights in looked if weights is not None]
        return torch.stack(found).mean(0) if found else None
