"""Keras is installed apart, once for each backend: `pip install --target FOLDER -r .ci/keras-jax.txt`.

`HEEDFUL_KERAS=FOLDER KERAS_BACKEND=jax pytest tests/keras`: one backend, one environment, one process.
Without Keras the tests skip.
"""

import os
import sys

sys.path.append(os.environ.get("HEEDFUL_KERAS", ""))
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # oracles are in float64
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling takes most of the time
