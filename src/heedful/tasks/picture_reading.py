"""From the file of a picture to what an encoder reads: vectors of regions, or columns of pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from heedful._errors import DataError
from heedful.data.pictures import TooLargeError, read_picture
from heedful.data.regions import Regions, named_regions, read_regions, region_shape
from heedful.models.convolutional import halved

from .model_options import ModelOptions
from .picture_options import PictureOptions

# columns of pixels of a line of text
WIDEST = 4000


@runtime_checkable
class PictureReader(Protocol):
    """How the files of a model's pictures are read."""

    def fault(self, path: str) -> str | None:
        """Why pictures such as this one cannot be used, as it is said of several: "cannot be read"; or None."""
        ...

    def steps(self, path: str) -> int:
        """Regions, or columns of pixels, of a picture that can be used."""
        ...

    def read(self, path: str) -> Regions:
        """A picture. Raises `DataError` where it cannot be used."""
        ...


@dataclass(frozen=True)
class FeatureReader:
    """Vectors of regions that stand in the file; see `heedful.data.regions`."""

    feature_dim: int | None

    def fault(self, path: str) -> str | None:
        """See `PictureReader`."""
        shape = shape_of(path)
        if shape is None:
            return "cannot be read"
        return None if shape[-1] == self.feature_dim else f"have other than {self.feature_dim:,} features a region"

    def steps(self, path: str) -> int:
        """See `PictureReader`."""
        return int(np.prod(region_shape(Path(path))[:-1]))

    def read(self, path: str) -> Regions:
        """See `PictureReader`."""
        regions = read_regions(path)
        if regions.ids.shape[1] != self.feature_dim:
            raise DataError(
                f"{path} has {regions.ids.shape[1]:,} features a region, but the model reads {self.feature_dim}; make "
                "the file as those that it was trained on."
            )
        return regions


@dataclass(frozen=True)
class ImageReader:
    """Pixels, scaled and from -1 to 1; a step is a column of them."""

    options: PictureOptions

    def fault(self, path: str) -> str | None:
        """See `PictureReader`."""
        try:
            self.steps(path)
        except TooLargeError:
            return "are too large"
        except DataError:
            return "cannot be read"
        return None

    def steps(self, path: str) -> int:
        """See `PictureReader`."""
        return self._width(path, *read_picture(path, self.options.grey).shape[:2])

    def read(self, path: str) -> Regions:
        """See `PictureReader`."""
        pixels, options = read_picture(path, self.options.grey), self.options
        width = self._width(path, *pixels.shape[:2])
        scaled = Image.fromarray(pixels).resize((width, options.height), Image.Resampling.BILINEAR)
        numbers = np.asarray(scaled, dtype=np.float32).reshape(options.height, width, -1) / 127.5 - 1
        columns = numbers.swapaxes(0, 1).reshape(width, -1)
        rows = 1 if options.width is None else int(halved(options.height, [down for down, _ in options.strides]))
        across = int(halved(width, [step for _, step in options.strides]))
        named = named_regions(np.zeros((rows * across, 1)), (rows, across))
        return Regions(columns, named.pieces, named.words, named.word_of, (rows, across))

    def _width(self, path: str, height: int, width: int) -> int:
        """Columns of the scaled picture."""
        columns = self.options.width or max(1, round(width * self.options.height / height))
        if columns > WIDEST:
            raise TooLargeError(f"{path} has {columns:,} columns when it is scaled, more than {WIDEST:,}; cut it.")
        return columns


def make_reader(options: ModelOptions) -> PictureReader:
    """What reads the pictures of a model."""
    if options.encoder == "convolutional":
        return ImageReader(options.picture)
    return FeatureReader(options.feature_dim)


def shape_of(path: str) -> tuple[int, ...] | None:
    """The shape of the array in a file, `None` where it cannot be used."""
    try:
        return region_shape(Path(path))
    except DataError:
        return None
