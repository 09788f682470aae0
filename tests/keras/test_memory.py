"""Additive attention never holds batch x queries x keys x units, forward or backward: the peak of a fresh process."""

import os
import subprocess
import sys

import pytest

from tests.keras.running import BACKEND

# 1 x 512 x 512 x 512 float32 elements are 512 MiB; what is allowed is an eighth of it
CODE = """
import sys
import numpy as np
import keras
from heedful.keras._additive import additive_scores
from tests.keras.running import run
from tests.memory import peak_memory

keras.config.set_floatx("float32")


class Scores(keras.layers.Layer):
    def build(self, shape):
        self.energy = self.add_weight(shape=(shape[0][-1],), name="energy")

    def call(self, inputs):
        return additive_scores(*inputs, self.energy)


def both(size):
    layer = Scores()
    arrays = [np.ones((1, size, size), "float32") for _ in range(2)]
    if sys.argv[1] == "plain":
        layer.call = lambda inputs: keras.ops.matmul(
            keras.ops.tanh(inputs[0][:, :, None] + inputs[1][:, None]), layer.energy
        )
    run(layer, arrays)


both(64)
before = peak_memory()
both(512)
print((peak_memory() - before) >> 20)
"""


def grown(how):
    """MiB by which the peak of a fresh process grows."""
    run = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return int(run.stdout.split()[-1])


def test_the_peak_stays_an_eighth_of_the_largest_tensor():
    assert grown("bounded") < 64


@pytest.mark.skipif(BACKEND == "jax", reason="XLA fuses the plain form, too, at these sizes")
def test_the_plain_form_would_be_seen():
    assert grown("plain") > 512
