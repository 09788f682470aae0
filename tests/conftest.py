"""What every test stands on: fixed seeds, few threads, NaN in uninitialised memory, and where the data lies."""

import os
import random
import signal
from pathlib import Path

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


class TorchRandom:
    """torch's generator in the words of the standard library, so that hypothesis seeds it for every example."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


TORCH_RANDOM = TorchRandom()  # hypothesis keeps only a weak reference
hypothesis.register_random(TORCH_RANDOM)

# No deadline: a shared machine has slow moments. Derandomised: a red run is red for everyone.
hypothesis.settings.register_profile("heedful", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("heedful")

# Tests started in the background ignore Ctrl-C, and so would the commands they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The tensors of tests are tiny: threads would cost more than they bring. What tests threads asks for them.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_numbers_every_time(request: pytest.FixtureRequest):
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    # Deterministic mode fills torch.empty with NaN: memory read before it is written shows. Not under torch.compile.
    torch.use_deterministic_algorithms("compile" not in request.keywords)


@pytest.fixture(autouse=True)
def _nothing_compiled_before(request: pytest.FixtureRequest):
    """Compiled code of one class is shared by its objects, up to a limit."""
    if "compile" in request.keywords:
        torch.compiler.reset()


@pytest.fixture(autouse=True)
def _checker_off_for_messages(request: pytest.FixtureRequest):
    """Let a test marked `messages` read what a user reads; the shape checker would object first."""
    if "messages" not in request.keywords:
        yield
        return
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of data sets: HEEDFUL_DATA, else shared/data beside the checkout; without either the test skips."""
    named = os.environ.get("HEEDFUL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets: HEEDFUL_DATA names no folder and {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory):
    """A trained translator and its folder; read it, copy it, but change nothing in it."""
    from heedful.tasks.translation import train_translator
    from tests.small import small_recipe

    return train_translator(small_recipe(tmp_path_factory.mktemp("small")))
