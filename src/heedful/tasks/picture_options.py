"""The part of a recipe that is about pictures as pixels: how they are scaled, and the convolutions that read them."""

from typing import Annotated

from pydantic import Field

from .data_options import Section


class PictureOptions(Section):
    """How a convolutional encoder reads pictures.

    Args:
        height: Pixels to which every picture is scaled.
        width: Likewise; null keeps the proportions, as lines of text want it: then all of a column is one region.
        grey: One number a pixel; otherwise red, green and blue.
        channels: Features of each convolution; each of them halves the height.
        width_halvings: How many of them halve the width, too; null for all.
        recurrent_layers: Recurrent layers that read the regions one after the other, above the convolutions.
    """

    height: int = Field(default=64, gt=0, le=1024)
    width: int | None = Field(default=64, gt=0, le=1024)
    grey: bool = False
    channels: list[Annotated[int, Field(gt=0)]] = Field(default=[16, 32, 64], min_length=1, max_length=10)
    width_halvings: int | None = Field(default=None, ge=0)
    recurrent_layers: int = Field(default=0, ge=0)

    @property
    def strides(self) -> list[tuple[int, int]]:
        """Of each convolution, over rows and columns."""
        halvings = len(self.channels) if self.width_halvings is None else self.width_halvings
        return [(2, 2 if place < halvings else 1) for place in range(len(self.channels))]

    @property
    def planes(self) -> int:
        """Numbers of a pixel."""
        return 1 if self.grey else 3
