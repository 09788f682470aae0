"""Records of a run: CSV files, and the same numbers for TensorBoard.

`batches.csv` has a row for every step, `epochs.csv` for every epoch, `validations.csv` for every validation.
"""

import csv
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from heedful._files import make_folder, whole_file

Row = Mapping[str, Any]


class Table:
    """A CSV file that grows, whose columns are those of its first row; floats are written with six digits.

    Args:
        path: The file; what an earlier run left in it stays.
        keep: Which of the earlier rows stay, as text by column. A last row that was cut off goes in any case.

    Raises:
        OutputError: If the file cannot be written.
    """

    def __init__(self, path: Path, keep: Callable[[dict[str, str]], bool]):
        self.path = path
        self.columns: list[str] = []
        earlier = self._earlier(keep)
        with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(earlier)
        self.file: TextIO = path.open("a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)

    def _earlier(self, keep: Callable[[dict[str, str]], bool]) -> list[list[str]]:
        """The header and the rows of an earlier run that stay; nothing where there are none."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        header, *rows = csv.reader([line for line in lines if line.endswith("\n")] or [""])
        kept = [row for row in rows if len(row) == len(header) and keep(dict(zip(header, row, strict=True)))]
        if not kept:
            return []
        self.columns = header
        return [header, *kept]

    def write(self, row: Row) -> None:
        """Add a row; a column it lacks stays empty, one that the first row lacked is left out."""
        if not self.columns:
            self.columns = list(row)
            self.writer.writerow(self.columns)
        values = (row.get(column, "") for column in self.columns)
        self.writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])

    def flush(self) -> None:
        """Put every row on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """End the file. What a full disk keeps from being written now has had its error before."""
        with suppress(OSError):
            self.file.close()


class Records:
    """The three tables of a run, and TensorBoard's event file.

    A run that goes on from a checkpoint first drops the rows of later steps: they are going to come again.

    Args:
        folder: The run's folder.
        step: The step the run goes on from; 0 begins afresh and drops every earlier row.
        tensorboard: Whether to write `tensorboard/` as well.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = True):
        make_folder(folder)

        # The mean of checkpoints is tried, and its row written, anew whenever a run ends.
        def keep(row: dict[str, str]) -> bool:
            number = row.get("step", "")
            return number.isdigit() and int(number) <= step and row.get("weights") != "average"

        self.tables = {name: Table(folder / f"{name}.csv", keep) for name in ("batches", "epochs", "validations")}
        self.events = None
        if tensorboard:
            # Loading it takes most of a second.
            from torch.utils.tensorboard import SummaryWriter

            self.events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1, flush_secs=30)

    def write(self, table: str, row: Row) -> None:
        """Add a row, which has a `step`, to a table: "batches", "epochs" or "validations"."""
        self.tables[table].write(row)
        if self.events is not None:
            for name, value in row.items():
                if isinstance(value, float) and name != "seconds":
                    self.events.add_scalar(f"{table}/{name}", value, row["step"])

    def flush(self) -> None:
        """Put every row on the disk; done before each checkpoint, so that none of the rows it counts on can be lost."""
        for table in self.tables.values():
            table.flush()

    def close(self) -> None:
        """End all files."""
        for table in self.tables.values():
            table.close()
        if self.events is not None:
            self.events.close()


class Silence:
    """Takes the place of `Records` in a process that writes nothing."""

    def write(self, table: str, row: Row) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
