"""What Keras writes into a .h5 file and cannot read back, made known by its name, as a user's own functions are.

A loss by its short name (`loss="mae"`), the comparison behind an `Embedding`'s mask in a functional model, and the word
"dot" of a score, which is no function.
"""

import keras
from keras.src.ops.numpy import NotEqual

NAMES = {
    "mae": keras.losses.mean_absolute_error,
    "mse": keras.losses.mean_squared_error,
    "mape": keras.losses.mean_absolute_percentage_error,
    "msle": keras.losses.mean_squared_logarithmic_error,
    "bce": keras.losses.binary_crossentropy,
    "NotEqual": NotEqual,
    "dot": "dot",
}

for name, meant in NAMES.items():
    keras.saving.get_custom_objects().setdefault(name, meant)
