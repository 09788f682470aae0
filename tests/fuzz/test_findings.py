"""What the fuzzer once found stays mended, and what is right is let in: every input goes through its door again."""

from pathlib import Path

import pytest

from .targets import TARGETS, seeds

FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())


def target_of(path: Path) -> str:
    return path.name.partition("-")[0]


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_what_was_found_is_refused_in_a_sentence_or_works(path):
    TARGETS[target_of(path)](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_and_its_halves_go_through_every_door(name):
    for seed in seeds(name):
        TARGETS[name](seed)
        TARGETS[name](seed[: len(seed) // 2])
        TARGETS[name](seed + b"\n\xff\x00")


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_at_all_goes_through_every_door(name):
    TARGETS[name](b"")
