"""Sources of pairs, and their rows: line-aligned files, tables, JSON lines, Parquet, Hugging Face data sets.

`datasets` and `pyarrow` are imported only here and in `store`, and only when a form needs them.
"""

import csv
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from heedful._errors import DataError

from .files import MAX_BYTES, find_files, open_text, read_raw_lines

TOO_FEW_COLUMNS = "too few columns"
NO_JSON = "not a JSON object"
NO_KEY = "key missing"
NO_TEXT = "not text"
ROWS_PER_READ = 1000
# values that a message lists at most
SHOWN = 20
# what may stand between the cells of CSV, and how much of a file is looked at to see which does
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
ROWS_TRIED, CHARS_TRIED = 50, 1 << 20
Form = Literal["lines", "tsv", "csv", "json", "parquet", "dataset", "features", "images"]
NAMED = ("json", "parquet", "dataset")
FORMS: dict[str, Form] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "json",
    ".json": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Fault:
    """Takes the place of a cell that cannot be read."""

    reason: str


class Several(tuple[str, ...]):
    """A cell of JSON, Parquet or a data set that lists texts: sentences of a source, or a target's equals."""


Cell = bytes | str | Fault
Row = tuple[Cell, Cell]
Cells = Sequence[Cell | Several]
# a column by its number or name, or several whose cells are joined by a space
Column = int | str
Columns = Column | tuple[Column, ...]


@dataclass(frozen=True)
class DataSource:
    """A source of pairs.

    - `form`: "lines" (two files), "tsv", "csv", "json" (an object a line), "parquet", "dataset" (Hugging Face's), or
      "features" or "images" (captions, whose rows hold the path of a picture's regions or pixels, and a caption).
    - `place`: path, folder or pattern; of a data set its folder or its name on the hub; of captions their JSON lines.
    - `target`: the same of the targets of form "lines"; of captions the folder with the pictures.
    - `columns`: of source and target. Of "tsv" and "csv", numbers from 0; with names instead, the first row of each
      file holds these. Of the other tables, keys; a dot leads into a nested one, as in "translation.en".
      Cells of "csv" stand between commas, semicolons or tabs, whichever fits its first rows. In the place of one column
      may stand a tuple of several, whose cells are joined by a space. A list of texts in a source is joined in the same
      way; each of a target is a pair with the source.
    - `where`: a column and what it must hold; other rows are passed over. Not of "lines".
    - `subset`, `split`: of a data set, its configuration and its part.
    """

    form: Form
    place: str
    target: str | None = None
    columns: tuple[Columns, Columns] = (0, 1)
    subset: str | None = None
    split: str = "train"
    where: tuple[Column, str] | None = None

    def __str__(self) -> str:
        named = self.place if self.target is None else f"{self.place} and {self.target}"
        return f"{named} ({self.split})" if self.form == "dataset" else named


def find_source(
    place: str | PathLike[str],
    target: str | PathLike[str] | None = None,
    columns: tuple[Columns, Columns] | None = None,
) -> DataSource:
    """The data source that paths name: two for lines; one for a table, whose form the end of its name tells, or for a
    folder that Hugging Face's `save_to_disk` wrote.

    Raises `DataError` where a form needs columns and has none or one side is a table, and `ValueError` for columns that
    are no such.

    >>> [find_source(*paths).form for paths in [("pairs.csv.gz",), ("a.txt",), ("a.en", "a.fr")]]
    ['csv', 'tsv', 'lines']
    """
    flat = [column for side in columns or () for column in _each(side)]
    if columns is not None and (len(columns) != 2 or any(isinstance(one, int) and one < 0 for one in flat)):
        raise ValueError(f"columns must be two names, or two numbers counted from 0, such as (0, 1); got {columns}.")
    if target is not None:
        if tables := [side for side in (place, target) if _suffix(Path(side)) in FORMS]:
            raise DataError(
                f"{tables[0]} is a table, which holds both sides; give it alone, and a pattern for several in quotes."
            )
        return DataSource("lines", fspath(place), fspath(target))
    form = _form(Path(place))
    if columns is None and form in NAMED:
        raise DataError(f"{place} has columns with names; say which hold source and target, such as en,fr.")
    return DataSource(form, fspath(place), columns=columns or (0, 1))


def read_rows(source: DataSource) -> Iterator[Row]:
    """Source and target cell of every row that `where` lets through, files in the order of their names.

    Raises `DataError` for bad files, and where no row is let through.
    """
    if source.form == "lines":
        yield from _lines_rows(source)
        return
    if source.form in ("features", "images"):
        from .captions import caption_rows

        for file in find_files(source.place):
            yield from caption_rows(file, Path(source.target or ""), source.form)
        return
    first, second = map(_each, source.columns)
    wanted = [*first, *second, *([source.where[0]] if source.where else [])]
    passed_over: dict[str, None] = {}
    found = False
    for cells in _table_rows(source, wanted):
        if source.where and (value := _shown(cells[-1])) != source.where[1]:
            if isinstance(value, Fault):  # nobody knows whether the row is wanted: it is counted as left out
                yield value, value
            elif len(passed_over) < SHOWN:
                passed_over[value] = None
            continue
        found = True
        given, wanted_cells = cells[: len(first)], cells[len(first) : len(first) + len(second)]
        alone = wanted_cells[0] if len(wanted_cells) == 1 else None
        for target in alone if isinstance(alone, Several) else [_joined(wanted_cells)]:
            yield _joined(given), target
    if source.where and passed_over and not found:
        column, value = source.where
        raise DataError(f"{source} has no row with {value!r} in column {column!r}, but {', '.join(passed_over)}.")


def _each(columns: Columns) -> tuple[Column, ...]:
    return columns if isinstance(columns, tuple) else (columns,)


def _joined(cells: Cells) -> Cell:
    """One cell of several, with a space between them; the first that cannot be read stands for all."""
    plain: list[Cell] = [" ".join(cell) if isinstance(cell, Several) else cell for cell in cells]
    if len(plain) == 1:
        return plain[0]
    if fault := next((cell for cell in plain if isinstance(cell, Fault)), None):
        return fault
    if not all(plain):
        return b""
    texts = [cell for cell in plain if isinstance(cell, str)]
    return " ".join(texts) if texts else b" ".join(cell for cell in plain if isinstance(cell, bytes))


def _shown(cell: Cell | Several) -> str | Fault:
    """The text of a cell; of one that cannot be read its fault."""
    if isinstance(cell, Several):
        return " ".join(cell)
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def _lines_rows(source: DataSource) -> Iterator[Row]:
    files = find_files(source.place)
    targets = find_files(source.target or "")
    if len(files) != len(targets):
        raise DataError(
            f"{source.place} names {len(files)} files but {source.target} names {len(targets)}; "
            "each file of sources needs its file of targets, in the order of their names."
        )
    for file, target in zip(files, targets, strict=True):
        yield from _aligned_rows(file, target)


def _table_rows(source: DataSource, wanted: Sequence[Column]) -> Iterator[Cells]:
    """The wanted cells of every row."""
    if source.form == "dataset":
        yield from _dataset_rows(source, wanted)
        return
    reader = {"tsv": _tsv_rows, "csv": _csv_rows, "json": _json_rows, "parquet": _parquet_rows}[source.form]
    for file in find_files(source.place):
        yield from reader(file, wanted)


def _form(path: Path) -> Form:
    """What the end of a file's name says; of a folder or a pattern, that of its first file."""
    if _is_saved(path):
        return "dataset"
    with suppress(DataError):  # reported when it is read
        path = find_files(path)[0]
    return FORMS.get(_suffix(path), "tsv")


def _suffix(path: Path) -> str:
    """The end of a name, that of packing apart."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".xz")]
    return suffixes[-1] if suffixes else ""


def _is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of Hugging Face's data sets."""
    return any((folder / name).exists() for name in ("dataset_dict.json", "state.json"))


def _aligned_rows(source: Path, target: Path) -> Iterator[Row]:
    lines = read_raw_lines(source), read_raw_lines(target)
    count = 0
    while True:
        pair = [next(side, None) for side in lines]
        if None in pair:
            break
        count += 1
        yield pair[0] or b"", pair[1] or b""
    more = [count + (line is not None) + sum(1 for _ in side) for line, side in zip(pair, lines, strict=True)]
    if more[0] != more[1]:
        raise DataError(
            f"{source} has {more[0]} lines but {target} has {more[1]}; "
            "line i of one must translate line i of the other, so fix or re-export the two files together."
        )


def _tsv_rows(path: Path, columns: Sequence[Column]) -> Iterator[Cells]:
    lines = read_raw_lines(path)
    if any(isinstance(column, str) for column in columns):
        header = next(lines, b"").decode("utf-8", "replace").split("\t")
        columns = _places(header, columns, path)
    places = [int(column) for column in columns]
    last = max(places)
    for line in lines:
        cells = line.split(b"\t")
        if last < len(cells):
            yield [cells[place] for place in places]
        else:
            yield [Fault(TOO_FEW_COLUMNS) if line.strip() else b""] * len(places)


def _csv_rows(path: Path, columns: Sequence[Column]) -> Iterator[Cells]:
    with open_text(path) as file:
        # bytes that are not UTF-8 become lone surrogates, which are counted as such later
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        lines = iter(partial(text.readline, MAX_BYTES), "")
        first_lines = _first_lines(lines)
        separator = _separator(first_lines, columns, path)
        rows = csv.reader(chain(first_lines, lines), delimiter=separator, strict=True)
        try:
            if any(isinstance(column, str) for column in columns):
                columns = _places(next(rows, []), columns, path)
            places = [int(column) for column in columns]
            last = max(places)
            for row in rows:
                if last < len(row):
                    yield [row[place] for place in places]
                else:
                    yield [Fault(TOO_FEW_COLUMNS) if row else ""] * len(places)
        except csv.Error as error:
            raise DataError(
                f"{path}, line {rows.line_num}: {error}; a cell that holds {SEPARATORS[separator]} or quotes stands in "
                "quotes, a quote in it twice; fix the file, or save it as tab-separated .tsv, where quotes are text."
            ) from error


def _first_lines(lines: Iterator[str]) -> list[str]:
    """Lines to look at; the others stay in the iterator."""
    found: list[str] = []
    size = 0
    while size < CHARS_TRIED and (line := next(lines, "")):
        found.append(line)
        size += len(line)
    return found


def _separator(lines: list[str], columns: Sequence[Column], path: Path) -> str:
    """The separator of the cells: the one that fits; a comma where none does. Refuses to guess between two."""
    fitting = [separator for separator in SEPARATORS if _parts(separator, lines, columns)]
    if len(fitting) > 1:
        names = " and at ".join(SEPARATORS[separator] for separator in fitting)
        raise DataError(
            f"{path} can be cut at {names}; give it a first row with the names of its columns and say these, or save "
            "it as tab-separated .tsv."
        )
    return fitting[0] if fitting else ","


def _parts(separator: str, lines: list[str], columns: Sequence[Column]) -> bool:
    """Whether it parts the first row into columns of these names, or the first rows into equally many cells."""
    rows = csv.reader(lines, delimiter=separator, strict=True)
    last = max((column for column in columns if isinstance(column, int)), default=0)
    wanted = {column for column in columns if isinstance(column, str)}
    try:
        header = next(rows, [])
        if wanted:
            return wanted <= {name.strip() for name in header} and last < len(header)
        widths = {len(row) for row in chain([header], islice(rows, ROWS_TRIED)) if row}
    except csv.Error:
        return False
    return len(widths) == 1 and last < min(widths)


def _json_rows(path: Path, columns: Sequence[Column]) -> Iterator[Cells]:
    keys = [str(column) for column in columns]
    for line in read_raw_lines(path):
        if not line.strip():
            yield [b""] * len(keys)
            continue
        try:
            record = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            yield [line] * len(keys)
            continue
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            # a key that has dots in its name comes before a nested one
            yield [_cell(record, [key] if key in record else key.split(".")) for key in keys]
        else:
            yield [Fault(NO_JSON)] * len(keys)


def _parquet_rows(path: Path, columns: Sequence[Column]) -> Iterator[Cells]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            keys = _keys(columns, file.schema_arrow.names, str(path))
            for batch in file.iter_batches(ROWS_PER_READ, columns=[".".join(key) for key in keys]):
                for record in batch.to_pylist():
                    yield [_cell(record, key) for key in keys]
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; check the path.") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no Parquet file or damaged ({_first_line(error)}); fetch it again.") from error


def _dataset_rows(source: DataSource, wanted: Sequence[Column]) -> Iterator[Cells]:
    data = _load_dataset(source)
    keys = _keys(wanted, list(data.features or ()), str(source))
    try:
        for batch in data.select_columns(sorted({key[0] for key in keys})).iter(batch_size=ROWS_PER_READ):
            for values in zip(*batch.values(), strict=True):
                record = dict(zip(batch, values, strict=True))
                yield [_cell(record, key) for key in keys]
    except Exception as error:  # the readers of each format raise errors of their own
        raise DataError(f"The data set {source} cannot be read: {_first_line(error)}.") from error


def _load_dataset(source: DataSource) -> Any:
    """A data set that was saved to a folder, or one by its name, read as it is needed."""
    import datasets

    folder = Path(source.place)
    # it would print each of its five tries to reach the hub
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        if not _is_saved(folder):
            return datasets.load_dataset(source.place, source.subset, split=source.split, streaming=True)
        folder = _part_of(folder, source.split)
        _check_shards(folder)
        return datasets.load_from_disk(str(folder))
    except DataError:
        raise
    except ConnectionError:
        raise DataError(
            f"There is no data set {source.place} on this machine, and the hub cannot be reached; check name and "
            "network, or name a folder."
        ) from None
    except Exception as error:  # the readers of each format raise errors of their own
        raise DataError(f"The data set {source} cannot be loaded: {_first_line(error)}.") from error


def _part_of(folder: Path, split: str) -> Path:
    """Where one part of a saved data set lies: in a folder of its own, if there are several."""
    index = folder / "dataset_dict.json"
    if not index.exists():
        return folder
    splits = json.loads(index.read_bytes())["splits"]
    if split not in splits:
        raise DataError(f"{folder} has no split {split!r}; expected one of {', '.join(map(str, splits))}.")
    return folder / split


def _check_shards(folder: Path) -> None:
    """Read each shard once: over a damaged one that was not checked, Arrow ends the process."""
    import pyarrow as pa

    for shard in json.loads((folder / "state.json").read_bytes())["_data_files"]:
        with pa.memory_map(str(folder / shard["filename"])) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                batch.validate(full=True)


def _keys(columns: Iterable[int | str], names: Sequence[str], where: str) -> list[list[str]]:
    """The way to each column: its name alone where a table has it, dots and all, else one name after another."""
    keys = [[str(column)] if column in names else str(column).split(".") for column in columns]
    if names:
        _check_names([key[0] for key in keys], names, where)
    return keys


def _cell(record: Any, key: Sequence[str]) -> Cell | Several:
    """The text under a nested key; whole numbers and truth values, as labels often are, in their written form."""
    for name in key:
        if not isinstance(record, Mapping) or name not in record:
            return Fault(NO_KEY)
        record = record[name]
    if record is None:
        return ""
    if isinstance(record, int):
        return json.dumps(record)
    if isinstance(record, list) and record and all(isinstance(one, str) for one in record):
        return Several(record)
    return record if isinstance(record, str) else Fault(NO_TEXT)


def _places(header: list[str], columns: Sequence[Column], path: Path) -> list[int]:
    """The numbers of columns whose names the first row holds."""
    names = [name.strip() for name in header]
    _check_names([column for column in columns if isinstance(column, str)], names, str(path))
    return [names.index(column) if isinstance(column, str) else column for column in columns]


def _check_names(wanted: Iterable[str], names: Sequence[str], where: str) -> None:
    for name in wanted:
        if name not in names:
            shown = ", ".join(name or "(nothing)" for name in names[:SHOWN])
            raise DataError(f"{where} has no column {name!r}; expected one of {shown or 'none, it is empty'}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
