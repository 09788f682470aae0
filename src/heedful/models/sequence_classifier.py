"""One sequence in, one answer out: encoder, pooling, head."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from heedful.functional import padding_mask


class Prediction(NamedTuple):
    """The output of a sequence classifier.

    Attributes:
        answer: `[batch]`, a number or a logit for each; `[batch, labels]` logits where there are several labels.
        weights: `[batch, steps]`, what the pooling looked at, or `None` unless asked for; `[batch, looks, steps]` of a
            pooling that looks several times.
    """

    answer: Float[Tensor, "batch *labels"]
    weights: Float[Tensor, "batch *looks steps"] | None = None


class SequenceClassifier(nn.Module):
    """A classifier of sequences, into two classes or many, or a regression.

    Args:
        encoder: maps `(inputs, lengths)` to what has a field `outputs` [batch, steps, features], as
            `heedful.models.RecurrentEncoder` does.
        pooling: maps `(outputs, mask, need_weights)` to a `heedful.attention.pooled.Pooled`, as every pooling of
            heedful does.
            A matrix, as `heedful.StructuredSelfAttention` gives, is read row after row.
        head: maps its vectors to `[batch, 1]`, or to `[batch, labels]`.
        masked: whether what stands behind the lengths is hidden; without, every step counts, padding too.
        word_dropout: share of the steps that the pooling does not see in training (after Iyyer et al. 2015, section 3).

    >>> import torch
    >>> from heedful.attention import LastStateAttention
    >>> from heedful.layers import TokenEmbedding
    >>> from heedful.models import RecurrentEncoder
    >>> encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, units=5, cell="lstm", bidirectional=False)
    >>> model = SequenceClassifier(encoder, LastStateAttention(5, units=7), nn.Linear(7, 1))
    >>> model(torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([3, 1])).answer.shape
    torch.Size([2])
    """

    def __init__(
        self, encoder: nn.Module, pooling: nn.Module, head: nn.Module, masked: bool = True, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder, self.pooling, self.head = encoder, pooling, head
        self.masked, self.word_dropout = masked, word_dropout

    def forward(
        self,
        inputs: Shaped[Tensor, "batch steps ..."],
        lengths: Int[Tensor, " batch"] | None = None,
        need_weights: bool = False,
    ) -> Prediction:
        """Read sequences and answer.

        Args:
            inputs: what the encoder reads: ids `[batch, steps]`, or numbers `[batch, steps, features]`.
            lengths: real steps of each, at least 1; all of them when left out.
            need_weights: return what the pooling looked at, too.
        """
        lengths = lengths if self.masked else None
        outputs = self.encoder(inputs, lengths).outputs
        mask = None if lengths is None else padding_mask(lengths, outputs.shape[1])
        if self.training and self.word_dropout:
            kept = keep_some(outputs.shape[:2], self.word_dropout, outputs.device)
            mask = kept if mask is None else mask.view(kept.shape) & kept
        vector, weights = self.pooling(outputs, mask, need_weights)
        answer = self.head(vector.flatten(1))
        return Prediction(answer.squeeze(-1) if answer.shape[-1] == 1 else answer, weights)


def keep_some(shape: tuple[int, ...], dropout: float, device: torch.device) -> Bool[Tensor, "batch steps"]:
    """Which steps are seen in training, each with probability `1 - dropout`: `[batch, steps]`."""
    return torch.rand(shape, device=device) >= dropout


@torch.no_grad()
def predict_all(
    model: nn.Module, batches: Iterable[Any]
) -> tuple[Float[Tensor, "examples *labels"], Float[Tensor, "examples *looks steps"]]:
    """The predictions and attention weights of all batches, gathered on the CPU.

    Args:
        model: as it is: in evaluation mode, or not.
        batches: of one width; each has `inputs`, `lengths` and `to`, as `heedful.data.examples.ExampleBatch` does.

    >>> from types import SimpleNamespace
    >>> class Mean(nn.Linear):
    ...     def forward(self, inputs, lengths, need_weights):
    ...         return Prediction(inputs.mean(1), torch.full(inputs.shape, 1 / inputs.shape[1]))
    >>> batch = SimpleNamespace(inputs=torch.tensor([[1.0, 3.0]]), lengths=torch.tensor([2]), to=lambda device: batch)
    >>> predict_all(Mean(1, 1), [batch, batch])[0]
    tensor([2., 2.])
    """
    device = next(model.parameters()).device
    found = [model(batch.inputs, batch.lengths, need_weights=True) for batch in (one.to(device) for one in batches)]
    answer, weights = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
    return answer, weights


def count_parameters(model: nn.Module) -> int:
    """Numbers that training changes.

    >>> count_parameters(nn.Linear(3, 5))
    20
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
