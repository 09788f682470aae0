"""Fonts for tokens of any script: matplotlib's own first, then whatever the machine has, then a box."""

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager, ft2font

DEFAULT = "DejaVu Sans"
_MISSING = "□"


def font_families(texts: Iterable[str]) -> list[str]:
    """The families that together draw every character of `texts` that this machine can draw; the default comes first.

    >>> font_families(["chat", "été", "кот"])
    ['DejaVu Sans']
    """
    missing = _characters(texts) - _glyphs(DEFAULT)
    families = [DEFAULT]
    for family in _regular() if missing else ():
        if found := missing & _glyphs(family):
            families.append(family)
            missing -= found
        if not missing:
            break
    return families


def drawable(text: str, families: Iterable[str]) -> str:
    """`text` with a box for each character that none of `families` can draw: matplotlib would warn about it.

    >>> drawable("chat", [DEFAULT])
    'chat'
    """
    known = frozenset().union(*map(_glyphs, families))
    return "".join(char if ord(char) in known else _MISSING for char in text)


def _characters(texts: Iterable[str]) -> set[int]:
    return {ord(char) for text in texts for char in text}


@cache
def _regular() -> dict[str, str]:
    """Family to file, of the upright fonts of ordinary weight: sans-serif ones first, always in the same order."""
    fonts = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        # the "last resort" font draws a placeholder for everything, and so would end every search
        if font.style == "normal" and font.weight in (400, "normal") and "Last Resort" not in font.name
    }
    return {family: fonts[family] for family in sorted(fonts, key=lambda name: ("Sans" not in name, name))}


@cache
def _glyphs(family: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(_regular()[family]).get_charmap())
    except (RuntimeError, OSError):
        # a listed font may be missing or unreadable
        return frozenset()
