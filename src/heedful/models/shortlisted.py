"""A model that says a few of its tokens only, numbered anew, so that its output layer computes no others."""

import copy
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn

from .protocol import StepOutput
from .seq2seq import Seq2Seq


class Shortlisted(nn.Module):
    """`model` over `ids` alone: token `n` of every search is `ids[n]`; probabilities are shared out among these.

    Args:
        model: an encoder-decoder, in any precision.
        ids: `[tokens]`, ascending; the special tokens come first, and so keep their numbers.

    Raises:
        ValueError: the model is another, or copies words.

    >>> from heedful.models import StepModel
    >>> issubclass(Shortlisted, StepModel)
    True
    """

    def __init__(self, model: nn.Module, ids: Int[Tensor, " tokens"]) -> None:
        super().__init__()
        if not isinstance(model, Seq2Seq):
            raise ValueError(
                f"a shortlist is of use to an encoder-decoder, not to {type(model).__name__}; set it to null"
            )
        if model.copying is not None:
            raise ValueError("a shortlist is of no use to a model that copies any word of a source; set it to null")
        self.ids = ids.to(model.embedding.weight.device)
        # the blocks are shared, the output layer is not
        self.model = copy.copy(model)
        output: Any = model.output
        self.model._modules = {**model._modules, "output": output.rows(self.ids)}

    def encode(self, source: Int[Tensor, "batch source_len"], lengths: Int[Tensor, " batch"]) -> Any:
        """Read the source sentences."""
        return self.model.encode(source, lengths)

    def regions_of(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How much is left to look at of sources of such lengths."""
        return self.model.regions_of(lengths)

    def start(self, encoded: Any) -> Any:
        """The state before the first token."""
        return self.model.start(encoded)

    def step(
        self, tokens: Int[Tensor, " batch"], state: Any, encoded: Any, need_weights: bool = False
    ) -> tuple[StepOutput, Any]:
        """One step over the new numbers."""
        return self.model.step(self.ids[tokens], state, encoded, need_weights)
