"""A trained model with weights of fewer bits, for decoding."""

import copy
from typing import TypeVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.layers.cheaper import LEAST, CheaperLinear, Precision, is_cheaper
from heedful.layers.cheaper_recurrent import CheaperRecurrent

from .seq2seq import OutputLayer

Model = TypeVar("Model", bound=nn.Module)


def cheaper(model: Model, precision: Precision) -> Model:
    """A copy whose large products are of "bf16" or "int8"; "float32" is the model itself.

    Output layer, linear layers and recurrent layers of at least 131,072 weights; what is smaller, embeddings, norms and
    attention's own scores and sums stay in float32. The copy decodes and does not learn.

    Args:
        model: with float32 weights on the CPU; stays as it is.
        precision: of weights and inputs of the products.

    Raises:
        ValueError: an unknown precision, one that this machine does not have, or a model of another type or place.

    >>> import torch
    >>> layers = nn.Sequential(nn.Linear(512, 256), nn.Linear(256, 2))
    >>> cheaper(layers, "bf16")[0].weight.dtype, cheaper(layers, "bf16")[1].weight.dtype
    (torch.bfloat16, torch.float32)
    """
    if not is_cheaper(precision):
        return model
    odd = next((one for one in model.parameters() if str(one.dtype) != "torch.float32"), None)
    if odd is not None:
        raise ValueError(
            f"decoding in {precision} starts from float32 weights, but they are {odd.dtype}; model.float()"
        )
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            setattr(module, name, _cheaper(child, precision))
    return copied


class CheaperOutput(nn.Module):
    """Features to logits, as the output layer did whose weights it has."""

    def __init__(self, output: OutputLayer, precision: Precision) -> None:
        super().__init__()
        self.features, self.vocab_size = output.features, output.vocab_size
        self.project = _cheaper(output.project, precision)
        self.product = CheaperLinear(output.weight, output.bias, precision)

    def forward(self, features: Float[Tensor, "*steps features"]) -> Float[Tensor, "*steps vocab_size"]:
        return self.product(self.project(features))

    def rows(self, ids: Int[Tensor, " tokens"]) -> "CheaperOutput":
        """The same layer with these outputs alone, in this order."""
        part = copy.copy(self)
        part.vocab_size = len(ids)
        part._modules = {**self._modules, "product": self.product.rows(ids)}
        return part


def _cheaper(child: nn.Module, precision: Precision) -> nn.Module:
    """What takes the place of a layer; itself where it stays."""
    size = sum(weight.numel() for weight in child.parameters())
    if isinstance(child, nn.GRU | nn.LSTM) and size >= LEAST:
        return CheaperRecurrent(child, precision)
    if isinstance(child, OutputLayer) and child.weight.numel() >= LEAST:
        return CheaperOutput(child, precision)
    if isinstance(child, nn.Linear) and child.weight.numel() >= LEAST:
        return CheaperLinear(child.weight, child.bias, precision)
    return child
