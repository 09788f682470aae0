"""`heedful doctor`: what is installed, and which fast paths are on."""

import os
import platform
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer

import heedful

from ._shell import FAILED

EXAMPLES = ("heedful doctor",)
NAMES = 22  # the width of their column
SCRIPTS = {
    "Latin": "é",
    "Greek": "λ",
    "Cyrillic": "ж",
    "Arabic": "ش",
    "Devanagari": "अ",
    "Chinese": "語",
    "Korean": "한",
}

NO_CACHE = "none: no folder for it can be written, every process compiles anew; set NUMBA_CACHE_DIR to one that can"

Finding = tuple[str, str]


def command() -> None:
    """Report what is installed, the devices, and whether the fast paths are on.

    Ends with exit code 1 if something heedful needs is missing or broken.
    """
    broken = False
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for check in (versions, machine, additive_path, fonts, folders):
        try:
            for name, text in check():
                show(name, text, width)
        except Exception as error:  # any error: the other findings are still reported
            broken = True
            show(check.__name__.replace("_", " "), f"BROKEN: {type(error).__name__}: {error}", width)
    if broken:
        raise typer.Exit(FAILED)


def show(name: str, text: str, width: int | None) -> None:
    """One finding, its name at the left."""
    for line in column(text, width):
        typer.echo(f"{name:<{NAMES}}{line}")
        name = ""


def column(text: str, width: int | None) -> list[str]:
    """The lines of a finding beside its name, whole words, for a terminal of this width; one where there is none."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(width - NAMES, 1), break_long_words=False, break_on_hyphens=False) or [""]


def versions() -> Iterator[Finding]:
    """Versions of heedful, Python and the packages it depends on."""
    yield "heedful", heedful.__version__
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    missing = []
    for name in packages():
        try:
            yield name, version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise ModuleNotFoundError(f"{', '.join(missing)} not installed; run: pip install {' '.join(missing)}")


def packages() -> list[str]:
    """The names of the packages that heedful depends on, without extras.

    >>> "torch" in packages(), "pytest" in packages()
    (True, False)
    """
    wanted = [line for line in requires("heedful") or [] if "extra ==" not in line]
    return sorted(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted)


def machine() -> Iterator[Finding]:
    """Device and threads."""
    import torch

    device = f"cuda: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and torch.backends.mps.is_available():
        device = "mps"
    yield "device", device
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    yield "threads", f"{torch.get_num_threads()} of {cores} cores" + (f" (OMP_NUM_THREADS={limit})" if limit else "")
    yield "matrix products", f"{torch.backends.cpu.get_cpu_capability()}"


def additive_path() -> Iterator[Finding]:
    """Which kernel computes additive attention on each device, and why; the one of the CPU is run."""
    import torch

    from heedful.functional import additive_attention
    from heedful.kernels.additive.backend import choice

    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        with warnings.catch_warnings(action="ignore"):  # the finding says it
            path, why = choice(device)
        yield "additive attention", f"{path} on {device}: {why}"
    # large enough for the kernels
    key = torch.ones(1, 16, 32)
    additive_attention(key, key, key, torch.ones(32))


def fonts() -> Iterator[Finding]:
    """The scripts that pictures can show."""
    from heedful.visual.fonts import drawable, font_families

    shown = [name for name, letter in SCRIPTS.items() if drawable(letter, font_families([letter])) == letter]
    lacking = [name for name in SCRIPTS if name not in shown]
    boxes = f"; {', '.join(lacking)} would be boxes: install a font for them, such as Noto" if lacking else ""
    yield "fonts for pictures", ", ".join(shown) + boxes


def folders() -> Iterator[Finding]:
    """The cache folders."""
    import matplotlib

    from heedful.kernels.additive.backend import choice

    caches: dict[str, Path | None] = {"font cache": Path(matplotlib.get_cachedir())}
    if choice("cpu")[0] == "numba":
        from heedful.kernels import cache

        caches["kernel cache"] = cache.folder()
    for name, folder in caches.items():
        yield name, f"{folder} ({writable(folder)})" if folder else NO_CACHE


def writable(folder: Path) -> str:
    """Whether files can be written there, by trying: permissions say too little for root.

    >>> from tempfile import gettempdir
    >>> writable(Path(gettempdir()))
    'can be written'
    """
    probe = folder / f".heedful.{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"CANNOT be written, {error.strerror}: it is made anew at every start"
    return "can be written"
