"""One training of the film review model, in blocks of steps (see paced.py); 64 made-up reviews of 500 words a step.

python imdb_side.py ENGINE LAYER [FOLDER]; LAYER is heedful, plain (the same attention from Keras' own layers) or old
(keras-attention 5.0.0), ENGINE torch for heedful itself, else Keras on tensorflow, jax or torch from FOLDER.
"""

import os
import sys
from pathlib import Path

from paced import Pace

WORDS, STEPS, BATCH, MANY = 5000, 500, 64, 1_000_000
engine, layer, *folder = sys.argv[1:]
threads = int(os.environ["OMP_NUM_THREADS"])


def through_heedful() -> None:
    """The model of examples/imdb.py under heedful's own training loop."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    import tempfile

    import imdb
    import torch

    from heedful.data.examples import Examples
    from heedful.models import count_parameters
    from heedful.training import TrainingOptions, binary_loss, keep_freed_memory, train

    keep_freed_memory()
    reviews = torch.randint(1, WORDS, (BATCH * 20, STEPS))
    examples = Examples(reviews, torch.arange(len(reviews)) % 2, batch_size=BATCH, seed=1)
    model = imdb.build("attention")
    pace = Pace(count_parameters(model))

    def paced_loss(model, batch, **options):
        pace.tick(BATCH)
        return binary_loss(model, batch, **options)

    options = TrainingOptions(optimizer="adam", gradient_clip=None, max_epochs=MANY, validate_every=MANY)
    with tempfile.TemporaryDirectory() as own:
        train(model, examples, lambda _: {"accuracy": 0.0}, options, Path(own), loss=paced_loss)


def with_keras() -> None:
    """The same layers in Keras, under `fit`."""
    sys.path[:0] = folder
    os.environ.update(KERAS_BACKEND=engine, TF_CPP_MIN_LOG_LEVEL="3")
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS="1")
    import keras
    import numpy as np

    if engine == "torch":
        import torch

        torch.set_num_threads(threads)
    reviews = np.random.default_rng(0).integers(1, WORDS, (BATCH * 20, STEPS)).astype("int32")
    kinds = (np.arange(len(reviews)) % 2).astype("float32")[:, None]
    inputs = keras.Input((STEPS,), dtype="int32")
    words = keras.layers.Dropout(0.5)(keras.layers.Embedding(WORDS, 32)(inputs))
    steps = keras.layers.LSTM(100, return_sequences=True)(words)
    vector = keras.layers.Dropout(0.5)(attention(keras)(steps))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(vector))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    pace = Pace(model.count_params())

    class Paced(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            pace.tick(BATCH)

        def on_train_batch_end(self, batch, logs=None):
            # JAX would go on before the step is done
            float((logs or {})["loss"])

    model.fit(reviews, kinds, batch_size=BATCH, epochs=MANY, callbacks=[Paced()], verbose=0)


def attention(keras):
    """The layer from steps to a vector of 128."""
    if layer == "old":
        from attention import Attention

        return Attention(units=128)
    if layer == "heedful":
        from heedful.keras import Attention

        return Attention(units=128)

    def plain(steps):
        last = keras.layers.Cropping1D((STEPS - 1, 0))(steps)
        scores = keras.layers.Dot((2, 2))([last, keras.layers.Dense(100, use_bias=False)(steps)])
        context = keras.layers.Dot((2, 1))([keras.layers.Softmax()(scores), steps])
        both = keras.layers.Flatten()(keras.layers.Concatenate()([context, last]))
        return keras.layers.Dense(128, use_bias=False, activation="tanh")(both)

    return plain


if __name__ == "__main__":
    through_heedful() if engine == "torch" and not folder else with_keras()
