"""docs/moving_to_heedful.md: every offer of the old packages has its place, and every snippet marked as new runs."""

import re

import pytest

from tests.test_house import ROOT

PAGE = (ROOT / "docs" / "moving_to_heedful.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python(.*?)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_number_of_the_checklist_stands_below_a_heading():
    lists = re.findall(r"^### .+\n\n<!-- ([\d, ]+) -->$", PAGE, flags=re.MULTILINE)
    there = [int(number) for numbers in lists for number in numbers.split(",")]
    assert sorted(there) == list(range(1, 70))


def test_every_heading_has_a_before_and_an_after():
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        assert "```python old\n" in section, section[:50]
        assert "After" in section.split("```python old\n")[1], section[:50]


def run(kind: str) -> None:
    namespace: dict[str, object] = {}
    snippets = [code for mark, code in SNIPPETS if mark.strip() == kind]
    assert len(snippets) > 1
    for code in snippets:
        exec(compile(code, "moving_to_heedful.md", "exec"), namespace)


@pytest.mark.messages
def test_what_is_new_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("")
    assert {"alignment.png", "words.html", "panels.png", "bars.png"} <= {file.name for file in tmp_path.iterdir()}


def test_what_is_new_in_keras_runs(tmp_path, monkeypatch):
    pytest.importorskip("keras", reason="needs keras: pip install heedful[keras]")
    monkeypatch.chdir(tmp_path)
    run("keras")
