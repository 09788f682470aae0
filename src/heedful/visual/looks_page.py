"""A self-contained page of a picture, once for each word of its caption, light where the word looked."""

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from heedful._files import write_whole

from .alignment import visible
from .picture import checked_looks

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
.words { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, WIDTHrem), 1fr)); gap: 1rem; }
.words { list-style: none; padding: 0; }
svg { width: 100%; height: auto; display: block; border-radius: 0.2rem; }
rect:hover { stroke: rgb(255 200 0); stroke-width: 0.02; }
p { margin: 0.2rem 0; overflow-wrap: anywhere; }
""".strip()
# pixels of the longer side of the picture in the page
_LONGEST = 640
# darkness where no attention falls, so that the picture stays visible
_DARK = 0.78


def looks_page(picture: np.ndarray, words: Sequence[str], weights: np.ndarray, title: str = "") -> str:
    """The page as one string of HTML, without any outer resource and without JavaScript.

    picture: [height, width, 3] or [height, width], from 0 to 255 (integers) or from 0 to 1
    weights: [words, rows, columns], a grid of any fineness over the whole picture, finite and from 0 up

    Pointing at a part of the picture tells its share. Raises ValueError as `draw_looks` does.

    >>> page = looks_page(np.zeros((8, 12, 3)), ["a", "<dog>"], np.full((2, 1, 4), 0.25), "A dog")
    >>> page.count("<svg"), "&lt;dog&gt;" in page, "https:" in page
    (3, True, False)
    """
    picture, weights = checked_looks(picture, words, weights)
    height = picture.shape[0] / picture.shape[1]
    box = f'viewBox="0 0 1 {height:.4f}"'
    heading = escape(visible(title))
    items = "\n".join(
        f'<li><svg {box} role="img" aria-label="{_told(word, grid)}"><use href="#picture"/>\n'
        f"{_shade(grid, height)}</svg><p>{escape(visible(word))}</p></li>"
        for word, grid in zip(words, weights, strict=True)
    )
    # wide pictures, such as lines of text, want wide columns
    style = _STYLE.replace("WIDTH", "12" if height > 0.4 else "34")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{heading}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style}\n</style></head>\n<body>\n<h1>{heading}</h1>\n"
        f'<svg width="0" height="0" style="position: absolute" aria-hidden="true"><defs><image id="picture" '
        f'width="1" height="{height:.4f}" preserveAspectRatio="none" href="{_embedded(picture)}"/></defs></svg>\n'
        f'<ul class="words">\n{items}\n</ul>\n</body>\n</html>\n'
    )


def write_looks_page(
    picture: np.ndarray, words: Sequence[str], weights: np.ndarray, path: str | os.PathLike[str], title: str = ""
) -> Path:
    """Write `looks_page` to a file, whole or not at all, and return its path."""
    return write_whole(path, looks_page(picture, words, weights, title))


def _told(word: str, grid: np.ndarray) -> str:
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    return escape(f"{visible(word)}: most in row {row + 1}, column {column + 1}, {grid.max():.0%}", quote=True)


def _shade(grid: np.ndarray, height: float) -> str:
    """A dark pane over each part of the picture, the darker the less it was looked at."""
    rows, columns = grid.shape
    top = grid.max() or 1.0
    # a hair wider than its place, so that no light shines between two
    size = f'width="{1 / columns + 0.001:.4f}" height="{height / rows + 0.001:.4f}"'
    return "\n".join(
        f'<rect x="{column / columns:.4f}" y="{height * row / rows:.4f}" {size} '
        f'fill-opacity="{_DARK * (1 - weight / top):.3f}"><title>{weight:.1%}</title></rect>'
        for (row, column), weight in np.ndenumerate(grid)
    )


def _embedded(picture: np.ndarray) -> str:
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    if max(image.size) > _LONGEST:
        image.thumbnail((_LONGEST, _LONGEST))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
