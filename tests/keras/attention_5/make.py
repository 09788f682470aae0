"""What made the files beside it, in an environment of its own: Python 3.11,

    pip install attention==5.0.0 tensorflow-cpu==2.15.1 "numpy<2"
    python make.py

Small models with the layer of the package `attention` 5.0.0, trained for one epoch, saved in each of the three formats,
and what they predict.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from attention import Attention

HERE = Path(__file__).parent
tf.keras.utils.set_random_seed(7)
tokens = np.random.default_rng(7).integers(1, 11, (6, 9))
predictions = {"tokens": tokens}
for score in ("luong", "bahdanau"):
    # Bidirectional: its two halves have the same shapes, and a loader might exchange them
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Embedding(11, 4, input_length=9),
            tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(3, return_sequences=True)),
            Attention(5, score=score),
            tf.keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    model.fit(tokens, tokens[:, 0] > 5, batch_size=2, verbose=0)
    model.save(HERE / f"{score}.h5")
    model.save(HERE / f"{score}.keras")
    model.save_weights(HERE / f"{score}.weights.h5")
    predictions[score] = model.predict(tokens, verbose=0)
np.savez_compressed(HERE / "predictions.npz", **predictions)
