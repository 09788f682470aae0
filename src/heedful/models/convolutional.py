"""An encoder of pixels: convolutions, each half as fine as the one before, and what is left is regions to look at."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.functional import padding_mask
from heedful.layers import Dropout, Linear

from .encoders import EncoderOutput, RecurrentEncoder, check_lengths

Strides = Sequence[tuple[int, int]]


def halved(size: Tensor | int, strides: Sequence[int]) -> Tensor | int:
    """Places left of so many by convolutions with such strides, each rounded up.

    >>> halved(41, [2, 2, 1])
    11
    """
    for stride in strides:
        size = (size + stride - 1) // stride
    return size


class ConvolutionalEncoder(nn.Module):
    """Convolutions 3 x 3 with a norm over the channels and a rectifier, then one vector for each region.

    Of pictures of one size, a region is what is left of rows and columns, row after row. Of `lines`, whose widths
    differ, a region is a whole column, from left to right. The summary is the mean of the regions, or that of `above`.
    Xu et al. 2015 take a network that is trained already (section 4.3); this one learns with the words.

    Args:
        height: rows of a picture.
        planes: numbers of a pixel, 1 (grey) or 3.
        channels: features of each convolution.
        strides: of each, over rows and columns.
        dim: features of a region.
        lines: regions are columns.
        above: reads the regions one after the other; its `embedding` is None.
        dropout: share of the regions' features dropped in training.

    Raises:
        ValueError: not a stride for each convolution; in a call, lengths that do not fit, or unequal ones without
            `lines`.

    >>> encoder = ConvolutionalEncoder(8, 1, [4, 6], [(2, 2), (2, 2)], 5)
    >>> encoder(torch.ones(2, 12, 8)).outputs.shape  # twelve columns of eight pixels
    torch.Size([2, 6, 5])
    """

    def __init__(
        self,
        height: int,
        planes: int,
        channels: Sequence[int],
        strides: Strides,
        dim: int,
        lines: bool = False,
        above: RecurrentEncoder | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(channels) != len(strides):
            raise ValueError(f"there are {len(channels)} channels and {len(strides)} strides; give one of each")
        self.height, self.planes, self.lines = height, planes, lines
        self.strides = [(down, across) for down, across in strides]
        sizes = [planes, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, padding=1)
            for before, after, stride in zip(sizes, channels, self.strides, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        rows = int(halved(height, [down for down, _ in self.strides]))
        self.project = Linear(channels[-1] * (rows if lines else 1), dim)
        self.rows, self.above, self.dropout = rows, above, Dropout(dropout)
        self.output_dim = dim if above is None else above.output_dim

    def regions_of(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many regions pictures of such widths have."""
        columns = torch.as_tensor(halved(lengths, [across for _, across in self.strides]))
        return columns if self.lines else columns * self.rows

    def forward(
        self, source: Float[Tensor, "batch width pixels"], lengths: Int[Tensor, " batch"] | None = None
    ) -> EncoderOutput:
        """Read pictures column by column.

        Args:
            source: `[batch, width, height * planes]`; what stands behind `lengths` has no influence.
            lengths: columns of each picture, at least 1; all of them when left out.
        """
        batch, width = source.shape[:2]
        lengths = torch.full((batch,), width, device=source.device) if lengths is None else lengths
        check_lengths(lengths, batch, width)
        # numbers are no part of a graph
        if not self.lines and not torch.compiler.is_compiling() and int(lengths.min()) < width:
            raise ValueError("pictures of one batch have several widths; scale them to one, or take them for lines")
        hidden = source.unflatten(-1, (self.height, self.planes)).permute(0, 3, 2, 1)
        hidden = self._hide(hidden, lengths)
        for convolution, norm, (_, across) in zip(self.convolutions, self.norms, self.strides, strict=True):
            lengths = torch.as_tensor(halved(lengths, [across]))
            hidden = norm(convolution(hidden).movedim(1, -1)).movedim(-1, 1)
            hidden = self._hide(torch.relu(hidden), lengths)
        if self.lines:
            regions = hidden.permute(0, 3, 1, 2).flatten(2)
        else:
            regions, lengths = hidden.flatten(2).transpose(1, 2), lengths * self.rows
        regions = self.dropout(self.project(regions))
        if self.above is not None:
            return self.above(regions, lengths)
        regions = regions.masked_fill(~padding_mask(lengths, regions.shape[1]).transpose(1, 2), 0)
        return EncoderOutput(regions, regions.sum(1) / lengths.unsqueeze(1))

    def _hide(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Zeros behind each picture, as around it."""
        if not self.lines:
            return hidden
        return hidden.masked_fill(~padding_mask(lengths, hidden.shape[3]).unsqueeze(1), 0)
