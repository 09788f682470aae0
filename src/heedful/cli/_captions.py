"""What `heedful evaluate`, `explain` and `inspect` do with pictures and their captions."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from heedful._errors import DataError

from ._shell import one_line, say, skipped_lines

if TYPE_CHECKING:
    from heedful.data.readers import Pairs
    from heedful.data.sources import DataSource
    from heedful.tasks.captioning import Captioner
    from heedful.tasks.translated import Translation

# words and captions that `inspect` shows
SHOWN = 12
# pixels of a region where there is no picture to draw on
BLANK = 40
SHADES = " ░▒▓█"


def read_captions(captioner: "Captioner", folder: Path | None, captions: Path | None) -> "Pairs":
    """The pictures of a folder and their captions."""
    if folder is None or captions is None:
        raise typer.BadParameter("a writer of captions is scored on two: the folder of pictures, and their captions")
    from heedful.data.readers import gather
    from heedful.data.sources import DataSource

    kind = "images" if captioner.recipe.model.encoder == "convolutional" else "features"
    return gather(DataSource(kind, str(captions), str(folder)), captioner.recipe.data.max_chars)


def usable_pictures(captioner: "Captioner", pairs: "Pairs") -> "Pairs":
    """Those that a model can be judged by; the others are counted on standard error."""
    from heedful.tasks.captioning import usable
    from heedful.tasks.picture_reading import make_reader

    return usable(pairs, make_reader(captioner.recipe.model), say)


def show_caption(
    captioner: "Captioner",
    path: str,
    output: Path | None,
    picture: Path | None,
    measure: Callable[[Any, Any], dict[str, Any]] | None = None,
) -> None:
    """The caption of one picture, and where each word looked, in the terminal or a file; then what `measure` finds."""
    found = captioner.explain(path)
    typer.echo(found.text)
    numbers = measure(captioner, found) if measure else {}
    if not output:
        typer.echo()
        Console(highlight=False).print(_table_of_looks(found))
    if numbers:
        from ._tables import print_measures

        print_measures(numbers)
    if output:
        draw(found, output, picture, path, {"faithfulness": numbers} if numbers else {})
        say(f"Wrote where each word looked to {output}.")


def draw(found: "Translation", output: Path, picture: Path | None, path: str, numbers: dict[str, Any]) -> None:
    """A file by its ending: the numbers, or the picture once for each word."""
    kind = output.suffix.lower()
    if kind == ".json":
        from heedful.visual.html import write_json

        write_json([found.alignment], output, [{"picture": path, "grid": list(_grid(found)), **numbers}])
        return
    from heedful.visual.looks_page import write_looks_page
    from heedful.visual.picture import write_looks

    rows, columns = _grid(found)
    pixels = _pixels(picture or _own(path), rows, columns)
    weights = found.alignment.weights.reshape(-1, rows, columns)
    write = write_looks_page if kind == ".html" else write_looks
    write(pixels, found.alignment.target, weights, output, found.text)


def caption_report(pairs: "Pairs", counts: Counter[str]) -> Iterator[RenderableType]:
    """What `heedful inspect` shows of pictures and captions, one part under the other.

    Args:
        pairs: paths and captions.
        counts: lines that were left out, by reason.
    """
    from heedful.data.captions import by_picture
    from heedful.metrics.captions import caption_words

    pictures, captions = by_picture(pairs)
    left_out = f"; left out {skipped_lines(counts)}" if counts else ""
    yield Text(f"{len(pictures):,} pictures with {len(pairs):,} captions from {pairs.origin}{left_out}.\n")
    shapes = Counter(map(_shape, pictures))
    table = _table("pictures", "shape")
    for shape, count in shapes.most_common(SHOWN):
        table.add_row(f"{count:,}", shape)
    if len(shapes) > SHOWN:
        table.add_row(f"{sum(shapes.values()) - sum(count for _, count in shapes.most_common(SHOWN)):,}", "others")
    yield table
    lengths = np.array([len(caption_words(one)) for one in pairs.target])
    words = Counter(word for one in pairs.target for word in caption_words(one))
    table = _table("captions", "")
    for value, name in {
        f"{len(pairs) / len(pictures):.1f}": "captions of a picture",
        f"{lengths.mean():.1f}": f"words of a caption; the longest has {lengths.max()}",
        f"{len(words):,}": f"different words; {sum(one == 1 for one in words.values()):,} are seen only once",
        f"{len(pairs) - len({*pairs.target}):,}": "captions stand there before",
    }.items():
        table.add_row(value, name)
    yield table
    yield Text(f"Most frequent: {', '.join(word for word, _ in words.most_common(SHOWN))}.\n")
    for path, own in zip(pictures[:3], captions, strict=False):
        yield Text(f"{Path(path).name}: {' | '.join(map(one_line, own[:SHOWN]))}")


def find_pictures(folder: str, captions: str) -> "DataSource":
    """A folder and its captions: of pixels where there is a picture in it, or below it."""
    from heedful.data.sources import DataSource

    kind = "images" if any(_own(str(file)) for file in Path(folder).rglob("*")) else "features"
    return DataSource(kind, captions, folder)


def inspect_captions(source: "DataSource", max_chars: int) -> None:
    """Count and show them."""
    from heedful.data.readers import Pairs, stream, why_nothing

    skipped = Counter[str]()
    found = [*stream(source, skipped, max_chars)]
    if not found:
        raise DataError(f"{source} gives no caption to look at: {why_nothing(skipped)}.")
    pictures, texts = map(list, zip(*found, strict=True))
    console = Console(highlight=False)
    for part in caption_report(Pairs(pictures, texts, dict(skipped), str(source)), skipped):
        console.print(part, soft_wrap=isinstance(part, Text))


def _shape(path: str) -> str:
    """Of the array in a file, or of its pixels."""
    from heedful.data.pictures import picture_size
    from heedful.data.regions import region_shape

    try:
        return " x ".join(map(str, picture_size(path) if _own(path) else region_shape(Path(path))))
    except DataError:
        return "cannot be read"


def _grid(found: "Translation") -> tuple[int, int]:
    return getattr(found.source, "grid", (1, len(found.source.words)))


def _own(path: str) -> Path | None:
    """The file that was read, where it is a picture."""
    from heedful.data.pictures import IMAGES

    return Path(path) if Path(path).suffix.lower() in IMAGES else None


def _pixels(picture: Path | None, rows: int, columns: int) -> np.ndarray:
    """The picture to draw on, or a board with a square for each region."""
    if picture:
        from heedful.data.pictures import read_picture

        return read_picture(picture)
    board = np.add.outer(np.arange(rows), np.arange(columns)) % 2
    return np.kron(255 - 30 * board, np.ones((BLANK, BLANK))).astype(np.uint8)


def _table_of_looks(found: "Translation") -> Table:
    """Each word with the region that it looked at most, and the grid in shades."""
    alignment, grid = found.alignment, _grid(found)
    table = _table("", "looked at", "")
    for word, weights in zip(alignment.target, alignment.weights, strict=True):
        top = int(weights.argmax())
        places = (weights / (weights.max() or 1.0) * (len(SHADES) - 1)).round().astype(int).reshape(grid)
        drawn = "\n".join("".join(SHADES[one] * 2 for one in row) for row in places) if grid[0] > 1 else ""
        table.add_row(Text(one_line(word)), f"{alignment.source[top]}, {weights[top]:.0%}", drawn)
    return table


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in ("pictures", "captions") else "left", overflow="fold")
    return table
