"""`heedful list`: the catalogue, for eyes and for pipes."""

import io

from rich.console import Console

from heedful import catalogue
from heedful.cli import listing
from heedful.tasks.aliases import aliases
from heedful.tasks.companions import companions

ENTRIES = [*catalogue(), *companions(), *aliases()]
KINDS = {"score", "window", "normalizer", "mechanism", "pooling", "layer", "loss", "position", "measure", "alias"}


def test_a_pipe_gets_one_line_of_ten_fields_for_each(run):
    lines = run("list").out.splitlines()
    assert [line.split("\t")[1] for line in lines] == [entry.name for entry in ENTRIES]
    for line in lines:
        kind, _, year, *rest = line.split("\t")
        assert kind in KINDS
        assert 1940 < int(year) < 2100
        assert len(rest) == 7
        assert all(rest)


def test_a_terminal_gets_every_name_and_paper(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda: Console(file=screen, width=80))
    listing.show(ENTRIES)
    words = "".join(screen.getvalue().split())
    for entry in ENTRIES:
        assert "".join(entry.name.split()) in words
        assert str(entry.year) in words
        assert "".join(entry.formula.replace("`", "").split())[:30] in words
    assert max(map(len, screen.getvalue().splitlines())) <= 80


def test_other_names_are_found_with_their_own_papers(run):
    lines = {fields[1]: fields for line in run("list").out.splitlines() if (fields := line.split("\t"))[0] == "alias"}
    assert lines["multi-query attention (MQA)"][2:6] == [
        "2019",
        "Shazeer: Fast Transformer Decoding: One Write-Head is All You Need",
        "section 3",
        "`MultiHeadAttention(num_kv_heads=1)`",
    ]
    assert lines["QK-norm"][6] == "heedful/attention/multi_head.py"
    assert lines["DCA"][3].startswith("Battenberg et al.")
