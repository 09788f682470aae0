"""Language models as the graphs "prompt" and "step".

The prompt graph is `source -> logits, state`, over texts of one length that begin with `<s>`; the step goes on from
there. Where looks depend on the looks before, it reads `<s>` alone, and the step is fed the rest of the prompt.
"""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from heedful.models import LanguageModel, LanguageState
from heedful.models.decoders import Encoded
from heedful.models.protocol import StepOutput

from .programs import Graphs
from .recurrent import scanned
from .steps import Example, First, two_graphs
from .trees import Plain, named


class PromptGraph(nn.Module):
    """`<s>` and a prompt, `[batch, source]`, to logits `[batch, vocabulary]` of the next token, and the state there.

    Args:
        model: what is exported.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = scanned(model)

    def forward(self, source: Int[Tensor, "batch source_len"]) -> dict[str, Any]:
        model = self.model
        nothing = _nothing(model, source.shape[0])
        read = model.decoder(model.embedding(source), model.decoder.start(nothing), nothing)
        return {"logits": model.output(read.features[:, -1]), "memory": {}, "state": named(read.state)}


class _Step(nn.Module):
    """A step of a model, with the state of its decoder."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, state: Any, _: Any) -> tuple[StepOutput, Any]:
        before = LanguageState(state)
        output, after = self.model.step(tokens, before, before)
        return output, after.decoder


def writer_graphs(model: LanguageModel) -> Graphs:
    """Prompt and step of a language model, in evaluation."""
    step = _Step(model)

    def example(batch: int, _: int, steps: int) -> Example:
        with Plain():
            state = model.decoder.start(_nothing(model, batch))
            for _ in range(steps):
                state = step(torch.full((batch,), 4), state, None)[1]
        return Example(None, state)

    remembers = any(getattr(part, "stateful", False) for part in model.modules())
    length, past = (1, 1) if remembers else (5, "source")
    inputs = {"source": (torch.full((2, length), 4), ("batch", past))}
    first = First("prompt", PromptGraph(model), inputs, says=True, past=past)
    return two_graphs(first, step, example, model.output.vocab_size)


def _nothing(model: Any, batch: int) -> Encoded:
    return Encoded(None, torch.zeros(batch, model.decoder.summary_dim))
