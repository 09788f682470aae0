"""A text in the terminal whose words are marked the more strongly the more a model looked at them."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions
from rich.style import Style
from rich.text import Text

from .alignment import visible
from .highlight import Reading
from .terminal import heat_color

_NAMED = 5
# from this share of the strongest weight on, letters on a bright ground are dark
_BRIGHT = 0.7


class TerminalReading:
    """`console.print(TerminalReading(reading))`: the words on grounds that grow brighter, and the strongest by name.

    reading: what to show; its caption, if any, stands before the strongest, and before each line of a document its sum

    Where there are no colours, the second line tells all.

    >>> import numpy as np
    >>> Console(width=60).print(TerminalReading(Reading(["so", "good"], np.array([0.2, 0.8]))))
    so good
    <BLANKLINE>
    looked at most: good 80%, so 20%
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Called by rich."""
        words, weights = [visible(word) for word in self.reading.words], self.reading.weights
        top = float(weights.max(initial=0)) or 1.0
        text, sums = Text(), self.reading.line_weights
        for number, line in enumerate(self.reading.line_slices):
            text.append("\n" if number else "")
            if self.reading.lines:
                _append(text, f"{sums[number]:4.0%}", sums[number] / (sums.max() or 1.0))
                text.append(" ")
            for place, (word, weight) in enumerate(zip(words[line], weights[line], strict=True)):
                text.append(" " if place else "")
                _append(text, word, float(weight) / top)
        yield text
        order = (-weights).argsort(kind="stable")[:_NAMED]
        named = ", ".join(f"{words[place]} {weights[place]:.0%}" for place in order)
        yield Text(f"\n{self.reading.caption or 'looked at'} most: {named}")


def _append(text: Text, word: str, share: float) -> None:
    text.append(word, Style(color="black" if share > _BRIGHT else "white", bgcolor=heat_color(share)))
