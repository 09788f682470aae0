"""Docstrings for the site, an extension of griffe: examples (`>>>`) as code, the formula of the first line set."""

import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))
from site_text import fenced, with_mathematics


class Docstrings(griffe.Extension):
    """Called by griffe for whatever has a docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text that is rendered."""
        if obj.docstring:
            first, line, rest = obj.docstring.value.partition("\n")
            obj.docstring.value = with_mathematics(first) + line + fenced(rest)
