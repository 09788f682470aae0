"""Keras' AdditiveAttention on one engine, in a process of its own: for every line `BATCH QUERIES KEYS UNITS BACKWARD`
on standard input one run, its milliseconds on standard output.

python keras_additive.py ENGINE FOLDER THREADS; ENGINE is tensorflow-xla, tensorflow, jax or torch, and FOLDER holds
Keras and its engines.
"""

import os
import sys
import time
from functools import cache

engine, folder, threads = sys.argv[1:]
backend = engine.partition("-")[0]
sys.path.insert(0, folder)
os.environ.update(KERAS_BACKEND=backend, OMP_NUM_THREADS=threads, TF_CPP_MIN_LOG_LEVEL="3")
os.environ.update(TF_NUM_INTRAOP_THREADS=threads, TF_NUM_INTEROP_THREADS="1")

import keras  # noqa: E402
import numpy as np  # noqa: E402


def build(shape):
    """The layer, and query, key, value."""
    batch, queries, keys, units = shape
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((batch, n, units), np.float32) for n in (queries, keys, keys)]
    layer = keras.layers.AdditiveAttention()
    layer.build([arrays[0].shape, arrays[2].shape, arrays[1].shape])
    return layer, arrays


def on_tensorflow(layer, arrays):
    """Forward, and forward and backward, as graphs; with XLA if the engine says so."""
    import tensorflow as tf

    query, key, value = map(tf.Variable, arrays)

    @tf.function(jit_compile=engine.endswith("xla"))
    def forward():
        return layer([query, value, key])

    @tf.function(jit_compile=engine.endswith("xla"))
    def both():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer([query, value, key]))
        return tape.gradient(loss, [query, key, value, *layer.trainable_variables])

    return lambda: forward().numpy(), lambda: [gradient.numpy() for gradient in both()]


def on_jax(layer, arrays):
    """Forward, and forward and backward, under jit."""
    import jax

    def call(scale, query, key, value):
        return layer.stateless_call(scale, [], [query, value, key])[0]

    forward = jax.jit(call)
    both = jax.jit(jax.grad(lambda *given: call(*given).sum(), argnums=(0, 1, 2, 3)))
    given = ([variable.value for variable in layer.trainable_variables], *map(jax.numpy.asarray, arrays))
    return lambda: forward(*given).block_until_ready(), lambda: jax.block_until_ready(both(*given))


def on_torch(layer, arrays):
    """Forward, and forward and backward."""
    import torch

    torch.set_num_threads(int(threads))
    query, key, value = given = [torch.tensor(array, requires_grad=True) for array in arrays]
    weights = [variable.value for variable in layer.trainable_variables]

    def forward():
        with torch.no_grad():
            return layer([query, value, key])

    return forward, lambda: torch.autograd.grad(layer([query, value, key]).sum(), [*given, *weights])


@cache
def runs(shape):
    """What runs forward, and what runs forward and backward; each waits for the result."""
    return {"tensorflow": on_tensorflow, "jax": on_jax, "torch": on_torch}[backend](*build(shape))


print(keras.__version__, flush=True)
for line in sys.stdin:
    *sizes, backward = map(int, line.split())
    run = runs(tuple(sizes))[backward]
    start = time.perf_counter()
    run()
    print(1000 * (time.perf_counter() - start), flush=True)
