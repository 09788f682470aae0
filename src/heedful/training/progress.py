"""Progress on standard error: a bar on a terminal, plain lines otherwise."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

SECONDS_BETWEEN_LINES = 30.0


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, or hours, minutes and seconds.

    >>> clock(75.0), clock(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Shows step, loss, tokens per second and the time left of one run.

    Args:
        console: Where to write; standard error when left out.
    """

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True, highlight=False)
        self.last_line = time.monotonic()
        self.bar = None
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn())
            self.bar = Progress(*columns, console=self.console, refresh_per_second=2, transient=True)
            self.task = self.bar.add_task("", total=1.0)
            self.bar.start()

    def update(self, step: int, loss: float, tokens_per_second: float, fraction: float, seconds: float) -> None:
        """Show where the run is.

        Args:
            step: Updates made.
            loss: Of the last batches, per token.
            tokens_per_second: Real target tokens.
            fraction: Part of the run that is done, in [0, 1]; 0 if unknown.
            seconds: Time the run has taken.
        """
        left = clock(seconds * (1 - fraction) / fraction) if fraction > 0 else "unknown"
        text = f"step {step}  loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s  {left} left"
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=fraction)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.say(f"{text}  ({fraction:.0%})")

    def say(self, text: str) -> None:
        """Write one line that stays."""
        self.last_line = time.monotonic()
        self.console.print(text, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
