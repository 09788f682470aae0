"""`heedful shortlist`: for translators alone."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from heedful._errors import DataError
from heedful.cli import shortlist


@pytest.mark.parametrize("task", ["language_model", "caption"])
def test_models_of_other_tasks_have_no_shortlist(monkeypatch, task):
    monkeypatch.setattr(shortlist, "load_translator", lambda _: SimpleNamespace(task=task))
    with pytest.raises(DataError, match=f"runs/x is a model for {task}; a shortlist is of use to one for translation"):
        shortlist.command(Path("runs/x"))
