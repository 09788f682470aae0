"""Keras' AdditiveAttention on one backend: for every line on standard input one run, its milliseconds on standard
output.

python keras_additive.py BACKEND FOLDER THREADS BATCH QUERIES KEYS UNITS; FOLDER holds keras and the backend.
"""

import os
import sys
import time

backend, folder, threads, *sizes = sys.argv[1:]
sys.path.insert(0, folder)
os.environ.update(KERAS_BACKEND=backend, OMP_NUM_THREADS=threads, TF_CPP_MIN_LOG_LEVEL="3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

batch, queries, keys, units = map(int, sizes)
rng = np.random.default_rng(0)
QUERY, KEY, VALUE = (rng.standard_normal((batch, n, units), np.float32) for n in (queries, keys, keys))
layer = keras.layers.AdditiveAttention()
layer.build([QUERY.shape, VALUE.shape, KEY.shape])


def runner():
    """Functions that run forward, and forward and backward, and wait for the result."""
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        query, key, value = map(tf.Variable, (QUERY, KEY, VALUE))

        @tf.function(jit_compile=True)
        def forward():
            return layer([query, value, key])

        @tf.function(jit_compile=True)
        def both():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer([query, value, key]))
            return tape.gradient(loss, [query, key, value, *layer.trainable_variables])

        return lambda: forward().numpy(), lambda: both()[0].numpy()
    if backend == "jax":
        import jax

        scale = [variable.value for variable in layer.trainable_variables]

        def call(scale, query, key, value):
            return layer.stateless_call(scale, [], [query, value, key])[0]

        forward = jax.jit(call)
        both = jax.jit(jax.grad(lambda *given: call(*given).sum(), argnums=(0, 1, 2, 3)))
        given = (scale, *map(jax.numpy.asarray, (QUERY, KEY, VALUE)))
        return lambda: forward(*given).block_until_ready(), lambda: jax.block_until_ready(both(*given))
    import torch

    torch.set_num_threads(int(threads))
    given = [torch.tensor(array, requires_grad=True) for array in (QUERY, KEY, VALUE)]
    weights = [variable.value for variable in layer.trainable_variables]

    def forward():
        with torch.no_grad():
            return layer([given[0], given[2], given[1]])

    return forward, lambda: torch.autograd.grad(layer([given[0], given[2], given[1]]).sum(), [*given, *weights])


runs = runner()
for line in sys.stdin:
    start = time.perf_counter()
    runs[int(line)]()
    print(1000 * (time.perf_counter() - start), flush=True)
