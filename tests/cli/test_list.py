"""`heedful list`: the catalogue, for eyes and for pipes."""

import io

from rich.console import Console

from heedful import catalogue
from heedful.cli import listing
from heedful.tasks.companions import companions


def test_a_pipe_gets_one_line_of_ten_fields_for_each(run):
    lines = run("list").out.splitlines()
    assert [line.split("\t")[1] for line in lines] == [entry.name for entry in [*catalogue(), *companions()]]
    for line in lines:
        kind, _, year, *rest = line.split("\t")
        assert kind in ("score", "window", "normalizer", "mechanism", "pooling", "layer", "loss", "position", "measure")
        assert 1940 < int(year) < 2100
        assert len(rest) == 7
        assert all(rest)


def test_a_terminal_gets_every_name_and_paper(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda: Console(file=screen, width=80))
    listing.show([*catalogue(), *companions()])
    words = "".join(screen.getvalue().split())
    for entry in [*catalogue(), *companions()]:
        assert entry.name in words
        assert str(entry.year) in words
        assert "".join(entry.formula.replace("`", "").split())[:30] in words
    assert max(map(len, screen.getvalue().splitlines())) <= 80
