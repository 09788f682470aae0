"""Pictures from PNG, JPEG and other files that pillow reads, none of them trusted."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from heedful._errors import DataError

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# a file of a few kilobytes may claim more, and would fill the memory
MOST_PIXELS = 40_000_000


class TooLargeError(DataError):
    """A picture with more pixels than can be read."""


def read_picture(path: str | PathLike[str], grey: bool = False) -> np.ndarray:
    """The pixels of a file from 0 to 255, upright: [height, width, 3], or [height, width] of a grey one.

    What is transparent is white; 16 bits become 8; of an animation the first picture. Raises `DataError` where the file
    is no picture, is damaged, or has more than `MOST_PIXELS` pixels.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGB", (4, 2), "red").save(Path(folder, "red.png"))
    ...     read_picture(Path(folder, "red.png")).shape
    (2, 4, 3)
    """
    with _opened(Path(path)) as image:
        return np.asarray(_flat(image, grey))


def picture_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture, from the beginning of its file. Raises `DataError` as `read_picture` does."""
    with _opened(Path(path)) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5
        return (width, height) if turned else (height, width)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture whose size is known to be fit for the memory; what goes wrong with it is told as its fault."""
    try:
        with warnings.catch_warnings():
            # the size is checked below, at one limit
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path} is no picture; give PNG or JPEG.") from None
    except Image.DecompressionBombError:
        raise TooLargeError(f"{path} has more than {MOST_PIXELS:,} pixels; make it smaller.") from None
    except FileNotFoundError:
        raise DataError(f"There is no picture {path}; check the path.") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DataError(f"{path} is a picture that cannot be read ({error}); fetch it again.") from None


def _flat(image: Image.Image, grey: bool) -> Image.Image:
    """Upright, without transparency, in 8 bits."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")
