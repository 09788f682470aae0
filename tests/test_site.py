"""What the documentation's site makes of docstrings; the site itself is built by `mkdocs build --strict`."""

import re
import runpy

import pytest
import yaml

from heedful.attention.catalogue import catalogue
from tests.test_house import ROOT

TEXT = runpy.run_path(str(ROOT / "scripts" / "site_text.py"))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("energy . tanh(W query[q] + b)", r"\mathrm{energy} \cdot \operatorname{tanh}(W\,\mathrm{query}_{q} + b)"),
        ("sum_{j < q} weights[j, k]", r"\sum_{j < q}\,\mathrm{weights}_{j, k}"),
        ("Q~ K^T / sqrt(dim)", r"\tilde{Q}\,K^{T} / \sqrt{\mathrm{dim}}"),
        ("x ~ y^(1 / (alpha - 1))", r"x \propto y^{1 / (\alpha - 1)}"),
        ("table[clip(k - position[q])]", r"\mathrm{table}_{\operatorname{clip}(k - \mathrm{position}_{q})}"),
        ("|k - p| <= half_width", r"\vert k - p\vert  \le  \text{half width}"),
    ],
)
def test_a_formula_is_set_as_its_author_would(formula, expected):
    assert TEXT["tex"](formula) == expected.replace("  ", " ")


def test_every_formula_of_the_catalogue_is_balanced():
    for entry in catalogue():
        for code in filter(TEXT["is_formula"], re.findall(r"`([^`]+)`", entry.formula)):
            text = TEXT["tex"](code)
            assert text.count("{") == text.count("}"), f"{entry.name}: {text}"
            assert text.count("[") == text.count("]"), f"{entry.name}: {text}"


def test_examples_stand_in_fences():
    text = "Sum.\n\n>>> x = 1\n>>> x + 1\n2\n\nMore.\n"
    assert TEXT["fenced"](text) == "Sum.\n\n```pycon\n>>> x = 1\n>>> x + 1\n2\n```\n\nMore.\n"


def test_the_site_fetches_no_script_when_read():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    scripts = settings["extra"]["polyfills"]
    # the plugin `offline` adds one from elsewhere where none of this name is given
    assert any("iframe-worker" in script for script in scripts)
    assert all((ROOT / "docs" / script).is_file() for script in scripts)
