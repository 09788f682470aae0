"""The Keras snippets of README and docs run, on every backend."""

import re

import pytest

from tests.keras.running import keras
from tests.test_house import ROOT


@pytest.fixture(autouse=True)
def _as_users_have_it():
    """float32, and none of the settings of other tests."""
    keras.config.set_floatx("float32")
    yield
    keras.config.set_floatx("float64")


@pytest.mark.parametrize("document", ["README.md", "docs/moving_to_heedful.md"])
def test_its_keras_snippets_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text(encoding="utf-8")
    snippets = re.findall(r"^```python keras\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert snippets
    namespace: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, document, "exec"), namespace)
