"""Loads weights of the package `attention` 5.0 into models that use `heedful.keras.Attention`."""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# our weights of each score, in the order of the layer; each with the names that the old layer gave its parts in whole
# models, and in Keras' later format
_OLD = {
    "luong": {"score_kernel": ("luong_w",), "output_kernel": ("attention_vector", "w_c")},
    "bahdanau": {
        "query_kernel": ("bahdanau_w1",),
        "key_kernel": ("bahdanau_w2",),
        "energy": ("bahdanau_v",),
        "output_kernel": ("attention_vector", "w_c"),
    },
}


def load_attention_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Give `model` the weights that a model with the old layer saved; predictions are those of the old model.

    The model has the layers of the old one in the same order, with `heedful.keras.Attention` of the same `units` and
    `score` in the place of `attention.Attention`. The old layer looked at padding, too: predictions are equal where no
    mask arrives.

    Args:
        model: a built model.
        path: what `model.save` or `model.save_weights` of TensorFlow 2 wrote: `.h5`, `.weights.h5` or `.keras`.

    Raises:
        ValueError: the file is of another kind, or does not fit the model, which then keeps the weights that it had.

    >>> load_attention_weights(None, "nothing.h5")
    Traceback (most recent call last):
    ...
    ValueError: nothing.h5 is no file of weights; expected what model.save or model.save_weights wrote, .h5 or .keras.
    """
    path = Path(path)
    before = model.get_weights() if path.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(path, Path(folder))
        optimizer = getattr(model, "optimizer", None)
        # in the format of whole models the optimiser stands apart
        skipped = {"objects_to_skip": [optimizer]} if optimizer and copy.suffixes == [".weights", ".h5"] else {}
        try:
            model.load_weights(copy, **skipped)
        except ValueError as error:
            model.set_weights(before)
            raise ValueError(
                f"{path} does not fit the model ({str(error).splitlines()[0]}); expected the old model's layers in the "
                "same order, of the same sizes and score."
            ) from error


def _copy(path: Path, folder: Path) -> Path:
    """The file in a place of our own, in which the old layer's weights have our names."""
    copy = folder / "old.h5"
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
    elif path.is_file() and h5py.is_hdf5(path):
        shutil.copyfile(path, copy)
    else:
        raise ValueError(
            f"{path} is no file of weights; expected what model.save or model.save_weights wrote, .h5 or .keras."
        )
    with h5py.File(copy, "r+") as file:
        root: Any = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            _rename_whole(root)
            return copy
        for group in _groups(file):
            _rename_later(group)
    return copy.rename(folder / "old.weights.h5")


def _rename_whole(root: Any) -> None:
    """In the format of whole models: one list of names for each layer."""
    for layer in root.attrs["layer_names"]:
        names = list(root[layer].attrs["weight_names"])
        parts = {name.split("/")[-2]: np.asarray(root[layer][name]) for name in names if name.count("/") > 1}
        ours = _ours(parts)
        for name, array in ours.items():
            root[layer][name] = array
        if ours:
            root[layer].attrs["weight_names"] = list(ours)


def _rename_later(group: Any) -> None:
    """In Keras' later format: one folder of numbered weights for each layer."""
    parts = {name: np.asarray(part["vars/0"]) for name, part in group.items() if f"{name}/vars/0" in group}
    for place, array in enumerate(_ours(parts).values()):
        group.require_group("vars")[str(place)] = array


def _ours(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The old layer's weights under our names and in our order; nothing for any other layer."""
    score = "bahdanau" if "bahdanau_v" in parts else "luong" if "luong_w" in parts else None
    if score is None:
        return {}
    found = {ours: next(parts[name] for name in old if name in parts) for ours, old in _OLD[score].items()}
    return {name: array.ravel() if name == "energy" else array for name, array in found.items()}


def _groups(group: Any) -> Any:
    """All groups of a file."""
    found = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Group) else None)
    return found
