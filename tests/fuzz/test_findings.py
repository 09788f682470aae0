"""What the fuzzer once found stays fixed, and valid input is accepted: every input is read again."""

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
def test_valid_input_and_its_halves_are_read_by_every_target(name):
    for seed in seeds(name):
        TARGETS[name](seed)
        TARGETS[name](seed[: len(seed) // 2])
        TARGETS[name](seed + b"\n\xff\x00")


@pytest.mark.parametrize("name", TARGETS)
def test_empty_input_is_read_by_every_target(name):
    TARGETS[name](b"")
