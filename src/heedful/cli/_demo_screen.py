"""What `heedful demo` shows: two models learning side by side, and an alignment that gets sharper."""

import csv
import math
import time
from pathlib import Path
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from heedful.tasks.demo import (
    ATTENTION,
    Contestant,
    DemoResult,
    entropy_of,
    expected_bleu,
    read_snapshots,
    steps_made,
)
from heedful.training.progress import clock
from heedful.visual.animation import Snapshot
from heedful.visual.terminal import TerminalHeatmap


class Screen:
    """Follows both runs by the files they write: a live picture on a terminal, lines elsewhere.

    Args:
        steps: how many each model makes,
        seconds: unless so many pass before.
        rival: what to call the second model.
        console: where to write; standard error when left out.
    """

    def __init__(self, steps: int, seconds: float, rival: str, console: Console | None = None) -> None:
        self.rival = rival
        self.console = console or Console(stderr=True, highlight=False)
        self.steps, self.seconds, self.started = steps, seconds, math.inf  # set when the learning begins
        self.live = Live(console=self.console, refresh_per_second=4, transient=True) if self._moves() else None
        self.said: set[tuple[str, str]] = set()

    def __enter__(self) -> "Screen":
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def watch(self, attention: Path, other: Path) -> None:
        """Show where both runs are."""
        self.started = min(self.started, time.monotonic())
        if self.live:
            self.live.update(self._picture({ATTENTION: attention, self.rival: other}, read_snapshots(attention)))
            return
        for name, row in ((ATTENTION, last_validation(attention)), (self.rival, last_validation(other))):
            if row and (name, row["step"]) not in self.said:
                self.said.add((name, row["step"]))
                self.console.print(f"{name}: {describe(row)}", markup=False)

    def _moves(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def _picture(self, runs: dict[str, Path], snapshots: list[Snapshot]) -> Group:
        passed = time.monotonic() - self.started
        lines = Table.grid(padding=(0, 2))
        parts = []
        for name, run in runs.items():
            parts.append(min(1.0, max(steps_made(run) / self.steps, passed / self.seconds)))
            bar = ProgressBar(total=1.0, completed=parts[-1], width=24)
            lines.add_row(Text(name, style="bold"), bar, Text(state_of(run)))
        left = passed * (1 / min(parts) - 1) if min(parts) else self.seconds
        note = Text(f"about {left:.0f} s of learning left" if left else "scoring the held-out pairs ...", style="dim")
        if not snapshots:
            return Group(lines, note)
        now = snapshots[-1]
        title = Text(
            f"\nWhat each French word looks at after {now.caption}, spread {entropy_of(now):.2f}", style="bold"
        )
        return Group(lines, note, title, TerminalHeatmap(now.alignment))


def state_of(run: Path) -> str:
    """Where a run is: its last validation, or what it does before the first."""
    if row := last_validation(run):
        return describe(row)
    return "learning ..." if (run / "training" / "batches.csv").exists() else "reading the pairs ..."


def last_validation(run: Path) -> dict[str, str] | None:
    """The last row of a run's `validations.csv`; none before the first."""
    path = run / "training" / "validations.csv"
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("weights") == "step"]
    return rows[-1] if rows else None


def describe(row: dict[str, str]) -> str:
    """One validation in words.

    >>> describe({"step": "1600", "loss": "2.4112", "bleu": "21.34"})
    'step 1,600   loss 2.41   BLEU 21.3'
    """
    return f"step {int(row['step']):,}   loss {float(row['loss']):.2f}   BLEU {float(row['bleu']):.1f}"


def print_report(console: Console, result: DemoResult) -> None:
    """Scores by length, what was to be expected, a few translations, and how the alignment got sharper."""
    console.print(score_table(result.contestants), "")
    console.print(Text(told_expectation(result.contestants[0], result.planned)), "")
    samples = Table(title="A few sentences", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header in ("English", *(one.name for one in result.contestants)):
        samples.add_column(header, overflow="fold")
    for row in result.samples:
        samples.add_row(*map(Text, row))
    console.print(samples, "")
    if result.snapshots:
        steps = "  ".join(f"{one.step:,}: {entropy_of(one):.2f}" for one in result.snapshots)
        console.print(Text(f"How spread the looks were (1 = everywhere, 0 = at one word), by step:  {steps}"))
        last = result.snapshots[-1]
        caption = " ".join(last.caption.split())
        console.print(Text(f"\nWhat each French word looked at in the end ({caption}):"))
        console.print(TerminalHeatmap(last.alignment), "")


def told_expectation(one: Contestant, planned: int) -> str:
    """What the model with attention reached on this machine, what to expect, and why the two may differ."""
    bleu = next(score.value for score in one.scores if score.name == "BLEU")
    usual, whole = expected_bleu(one.steps), expected_bleu(planned)
    made = f"BLEU {bleu:.1f} after {one.steps:,} steps in {clock(one.seconds)}"
    made += f", {one.steps / one.seconds:.1f} a second." if one.seconds else "."
    if usual is not None:
        made += f" To expect after so many: about {usual:.0f}, within 1 by seed and processor."
    if one.steps >= planned:
        return made
    longer = math.ceil(one.seconds * planned / max(one.steps, 1) / 10) * 10
    made += f" This machine had no time for all {planned:,}"
    made += f", which give about {whole:.0f}" if whole is not None else ""
    return f"{made}: heedful demo --seconds {longer} --output longer."


def score_table(contestants: list[Contestant]) -> Table:
    """BLEU and chrF of each model over the held-out pairs, and BLEU by the length of the source."""
    counts = [(part.label, part.count) for part in contestants[0].by_length]
    title = f"BLEU and chrF over {sum(count for _, count in counts)} held-out pairs; BLEU by source words"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for header in ("parameters", "chrF", "BLEU", *(f"{label} words\n({count})" for label, count in counts)):
        table.add_column(header, justify="right", no_wrap=True)
    for one in contestants:
        parts = [f"{part.score.value:.1f}" if part.score else "-" for part in one.by_length]
        scores = [f"{score.value:.1f}" for score in reversed(one.scores)]
        table.add_row(one.name, f"{one.parameters:,}", *scores, *parts)
    return table
