"""Losses by their short names: Keras writes `loss="mae"` into a .h5 file as it stands, and cannot read it back.

Known by that name, as any function of a user's is, it can.
"""

import keras

SHORT_NAMES = {
    "mae": keras.losses.mean_absolute_error,
    "mse": keras.losses.mean_squared_error,
    "mape": keras.losses.mean_absolute_percentage_error,
    "msle": keras.losses.mean_squared_logarithmic_error,
    "bce": keras.losses.binary_crossentropy,
}

for name, loss in SHORT_NAMES.items():
    keras.saving.get_custom_objects().setdefault(name, loss)
