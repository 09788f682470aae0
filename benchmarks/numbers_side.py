"""The old layer on the two numbers: the model of keras-attention's add_two_numbers.py, mean error after each epoch.

python numbers_side.py DATA.npz SEED EPOCHS, in an environment with TensorFlow 2.15 and attention 5.0.0.
"""

import json
import sys

import numpy as np
import tensorflow as tf
from attention import Attention
from tensorflow.keras import Sequential, layers

data = np.load(sys.argv[1])
seed, epochs = map(int, sys.argv[2:])
tf.keras.utils.set_random_seed(seed)
model = Sequential(
    [
        layers.Input(data["inputs"].shape[1:]),
        layers.LSTM(100, return_sequences=True),
        Attention(128, "bahdanau"),
        layers.Dropout(0.2),
        layers.Dense(1),
    ]
)
model.compile("adam", "mae")
held_out = (data["held_inputs"], data["held_answers"])
kept = model.fit(data["inputs"], data["answers"], batch_size=64, epochs=epochs, validation_data=held_out, verbose=0)
print(json.dumps({"parameters": model.count_params(), "mae by epoch": kept.history["val_loss"]}))
