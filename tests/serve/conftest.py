"""What tests of the server share; its extra is imported only where it is there."""

import pytest


@pytest.fixture(scope="package")
def translator(small_run):
    """A small trained translator."""
    from heedful.tasks.translator import Translator

    return Translator.load(small_run.model)


@pytest.fixture(scope="package")
def client(translator):
    """A client of a server with small limits."""
    from heedful.serve.limits import Limits

    from .clients import serving

    sizes = {"body": 20_000, "sentences": 8, "chars": 300, "hypotheses": 4, "phrases": 3, "numbers": 2_000, "queue": 64}
    limits = Limits(**sizes, window=0.02, upload=1.0, answer=10.0)
    with serving(translator, limits) as one:
        yield one
