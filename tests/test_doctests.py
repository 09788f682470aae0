"""Every example in a docstring runs."""

import doctest
import importlib

import pytest

from tests.test_house import SOURCES, module_name

# those of Keras need it, and run beside its own tests
MODULES = [name for name in map(module_name, SOURCES) if "keras" not in name and "__main__" not in name]


@pytest.mark.parametrize("name", MODULES)
def test_its_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs {error.name}")
    failed, _ = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert not failed
