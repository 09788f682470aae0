"""Made pictures of coloured shapes on a grid, with captions in which it is known where each word must look."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np

COLORS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 210, 50),
    "purple": (150, 60, 180),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
# pixels of a cell, and most rows and columns of a grid
CELL, LARGEST = 10, 6
_BACKGROUND = 70


@dataclass(frozen=True)
class Thing:
    """One shape: what it is, and in which cell it lies."""

    color: str
    shape: str
    row: int
    column: int

    @property
    def name(self) -> str:
        """As a caption says it: "red circle"."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class ShapesPicture:
    """A picture, and the shapes on it in the order of reading.

    - `pixels` [rows * CELL, columns * CELL, 3], from 0 to 255.
    - `rows`, `columns`: of its grid.
    """

    pixels: np.ndarray
    things: Sequence[Thing]
    rows: int
    columns: int

    @property
    def caption(self) -> str:
        """Every shape in the order of reading, "beside" the one before in the same row, which else is "above" it."""
        words = f"a {self.things[0].name}"
        for before, thing in pairwise(self.things):
            words += f" {'beside' if before.row == thing.row else 'above'} a {thing.name}"
        return words

    def looks(self) -> list[int | None]:
        """The cell that each word of the caption names, row after row; `None` for a word that names none."""
        cells: list[int | None] = []
        for thing in self.things:
            cell = thing.row * self.columns + thing.column
            cells += [None] * (2 if cells else 1) + [cell, cell]
        return cells

    def regions(self) -> np.ndarray:
        """Of every cell its pixels, 0 where it is empty, and its row and column as ones among zeros.

        [rows, columns, CELL * CELL * 3 + 2 * LARGEST].
        """
        cells = self.pixels.reshape(self.rows, CELL, self.columns, CELL, 3).swapaxes(1, 2)
        pixels = (cells.reshape(self.rows, self.columns, -1).astype(np.float64) - _BACKGROUND) / 60
        place = np.eye(LARGEST)
        rows = np.broadcast_to(place[: self.rows, None], (self.rows, self.columns, LARGEST))
        columns = np.broadcast_to(place[None, : self.columns], (self.rows, self.columns, LARGEST))
        return np.concatenate((pixels, rows, columns), -1).astype(np.float32)


def make_shapes(random: np.random.Generator) -> ShapesPicture:
    """A grid of 4 to 6 rows and columns with two or three shapes, which differ in place, size and brightness.

    >>> picture = make_shapes(np.random.default_rng(1))
    >>> picture.caption, picture.looks()[:7]
    ('a green square beside a white triangle above a green ring', [None, 0, 0, None, None, 3, 3])
    """
    rows, columns = (int(size) for size in random.integers(4, LARGEST + 1, 2))
    places = np.sort(random.choice(rows * columns, int(random.integers(2, 4)), replace=False))
    things = [
        Thing(str(random.choice([*COLORS])), str(random.choice(SHAPES)), *divmod(int(place), columns))
        for place in places
    ]
    pixels = np.full((rows * CELL, columns * CELL, 3), _BACKGROUND, dtype=np.float64)
    for thing in things:
        cell = pixels[thing.row * CELL : (thing.row + 1) * CELL, thing.column * CELL : (thing.column + 1) * CELL]
        radius = random.uniform(3.2, 4.4)
        middle = random.uniform(radius, CELL - radius, 2)
        cell[_inside(thing.shape, middle, radius)] = np.array(COLORS[thing.color]) * random.uniform(0.8, 1.0)
    noisy = pixels + random.normal(0, 6, pixels.shape)
    return ShapesPicture(noisy.clip(0, 255).astype(np.uint8), things, rows, columns)


def held_out(picture: ShapesPicture) -> bool:
    """Whether two shapes that follow each other are a pair that training never sees: a fifth of all pairs are.

    >>> pairs = [(Thing(a, b, 0, 0), Thing(c, d, 0, 1)) for a in COLORS for b in SHAPES for c in COLORS for d in SHAPES]
    >>> sum(held_out(ShapesPicture(np.zeros(0), pair, 4, 4)) for pair in pairs) / len(pairs)
    0.2
    """
    numbers = [[*COLORS].index(thing.color) * len(SHAPES) + SHAPES.index(thing.shape) for thing in picture.things]
    return any((first + 2 * second) % 5 == 0 for first, second in pairwise(numbers))


def shapes_pictures(count: int, seed: int, unseen: bool) -> Iterator[ShapesPicture]:
    """So many pictures, all of which are held out, or none."""
    random = np.random.default_rng(seed)
    while count:
        picture = make_shapes(random)
        if held_out(picture) == unseen:
            count -= 1
            yield picture


def write_shapes(folder: str | PathLike[str], count: int, seed: int, unseen: bool) -> list[ShapesPicture]:
    """Write pictures as a recipe reads them: `features/N.npy`, `images/N.png` and `captions.jsonl`; and return them."""
    from PIL import Image

    folder = Path(folder)
    for name in ("features", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pictures, lines = [*shapes_pictures(count, seed, unseen)], []
    for number, picture in enumerate(pictures):
        np.save(folder / "features" / f"{number}.npy", picture.regions().astype(np.float16))
        Image.fromarray(picture.pixels).save(folder / "images" / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": picture.caption}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return pictures


def _inside(shape: str, middle: np.ndarray, radius: float) -> np.ndarray:
    """Which pixels of a cell a shape covers: [CELL, CELL]."""
    down, right = np.mgrid[:CELL, :CELL] + 0.5 - middle[:, None, None]
    distance = np.hypot(down, right)
    square = np.maximum(abs(down), abs(right)) <= 0.85 * radius
    return {
        "circle": distance <= radius,
        "square": square,
        "triangle": (abs(right) <= (down + radius) / 2) & (down <= 0.8 * radius),
        "cross": (np.minimum(abs(down), abs(right)) <= 0.3 * radius) & (np.maximum(abs(down), abs(right)) <= radius),
        "ring": (distance <= radius) & (distance > 0.55 * radius),
    }[shape]
