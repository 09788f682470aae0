"""Every example a reader sees runs: the Python of the README and of the docstrings."""

import ast
import doctest
from pathlib import Path

import pytest

from tests.test_house import ROOT, SOURCES, blocks, load, module_name


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/how_to.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks("python", (ROOT / page).read_text(encoding="utf-8")):
        exec(compile(block, page, "exec"), namespace)


def _examples(path: Path) -> list[tuple[str, int]]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = [(ast.get_docstring(node), node) for node in nodes if isinstance(node, documented)]
    return [(text, getattr(node, "lineno", 1)) for text, node in found if text and ">>>" in text]


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if _examples(path)], ids=lambda path: path.relative_to(ROOT / "src").as_posix()
)
def test_the_examples_of_the_docstrings_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dotted = module_name(path)
    module = load(path)
    for text, line in _examples(path):
        example = doctest.DocTestParser().get_doctest(text, dict(vars(module)), dotted, str(path), line)
        outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(example)
        assert not outcome.failed, f"{dotted}, line {line}: an example does not print what it says"
