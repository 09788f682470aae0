"""Where a benchmark leaves its row: benchmarks/results/<name>.csv, one line per run, with the machine it ran on."""

import csv
import io
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

from heedful._files import write_whole

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, object]:
    """The date, the processor and the versions every row carries."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def append(name: str, **numbers: object) -> None:
    """Print one row and append it to the results of `name`; a column that is new stays empty in the rows before."""
    row = machine() | numbers
    print(", ".join(f"{key}: {value}" for key, value in row.items()))
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    earlier = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    columns = list(dict.fromkeys([*(earlier[0] if earlier else ()), *row]))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*earlier, row])
    write_whole(path, text.getvalue())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
