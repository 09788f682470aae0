"""Where a mechanism comes from: every part carries one of these, and the catalogue is read from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Paper, the place in it, and the year."""

    paper: str
    place: str
    year: int
