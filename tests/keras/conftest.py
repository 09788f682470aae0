"""Keras and its backends are installed apart: `pip install --target FOLDER -r .ci/keras-tensorflow.txt`, `HEEDFUL_KERAS=FOLDER`.

`KERAS_BACKEND=tensorflow pytest tests/keras`, and again with jax and torch: one backend, one process. Without Keras the
tests skip.
"""

import os
import sys

sys.path.append(os.environ.get("HEEDFUL_KERAS", ""))
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # oracles are in float64
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling takes most of the time
