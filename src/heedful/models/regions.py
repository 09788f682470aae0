"""Regions of a picture in the place of a sentence: vectors that came from another network, made fit for ours."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.functional import padding_mask
from heedful.layers import Dropout, Linear

from .encoders import EncoderOutput, check_lengths


class RegionProjection(nn.Module):
    """`W vector + b`: vectors of any size in the place of embedded tokens.

    There is no norm behind it: regions with nothing on them have small vectors in many sets, and so they stay small.

    Args:
        features: of a vector.
        dim: of the result.
        dropout: share of the result dropped in training.

    >>> import torch
    >>> RegionProjection(512, 8)(torch.ones(2, 49, 512)).shape
    torch.Size([2, 49, 8])
    """

    def __init__(self, features: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.project, self.dropout = Linear(features, dim), Dropout(dropout)

    def forward(self, vectors: Float[Tensor, "batch regions features"]) -> Float[Tensor, "batch regions dim"]:
        return self.dropout(self.project(vectors))


class RegionEncoder(nn.Module):
    """Each region by itself, as Xu et al. 2015 look at them (section 3.1.1); the summary is their mean (section 3.1.2).

    Args:
        projection: what every region goes through.

    Raises:
        ValueError: in a call, lengths that do not fit.

    >>> import torch
    >>> encoded = RegionEncoder(RegionProjection(5, 8))(torch.ones(2, 4, 5), torch.tensor([4, 3]))
    >>> encoded.outputs.shape, encoded.summary.shape, bool(encoded.outputs[1, 3].any())
    (torch.Size([2, 4, 8]), torch.Size([2, 8]), False)
    """

    def __init__(self, projection: RegionProjection) -> None:
        super().__init__()
        self.projection, self.output_dim = projection, projection.dim

    def forward(
        self, source: Float[Tensor, "batch regions features"], lengths: Int[Tensor, " batch"] | None = None
    ) -> EncoderOutput:
        """Read pictures.

        Args:
            source: `[batch, regions, features]`, row after row; what stands behind `lengths` has no influence.
            lengths: regions of each picture, at least 1; all of them when left out.
        """
        outputs = self.projection(source)
        if lengths is None:
            return EncoderOutput(outputs, outputs.mean(1))
        check_lengths(lengths, *source.shape[:2])
        hidden = ~padding_mask(lengths, source.shape[1]).transpose(1, 2)
        outputs = outputs.masked_fill(hidden, 0)
        return EncoderOutput(outputs, outputs.sum(1) / lengths.unsqueeze(1))
