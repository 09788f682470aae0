"""What a layer looked at: weights out of any model, and their pictures, epoch after epoch."""

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heedful._files import make_folder
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot, write_animation
from heedful.visual.grids import join_frames, write_grids
from heedful.visual.heatmap import write_heatmap

# A grid of more rows or columns has no room for labels and numbers.
LABELLED = 40


def attention_weights(model: Any, inputs: Any, layer: str | None = None) -> np.ndarray:
    """The weights of one attention layer inside a model, as they are for these inputs; the model is not changed.

    For any layer here, and for those of Keras that take `return_attention_scores`, in any kind of model.

    Args:
        model: a Sequential, functional or subclassed model.
        inputs: what the model is called with.
        layer: the layer's name; may be left out where the model has one attention layer.

    Returns:
        `[batch, steps]`, `[batch, queries, keys]`, or as the layer says.

    Raises:
        ValueError: no such layer, more than one without a name, or the model did not call it.

    >>> from heedful.keras import Attention
    >>> model = keras.Sequential([keras.Input((7, 5)), Attention(3), keras.layers.Dense(1)])
    >>> attention_weights(model, np.ones((2, 7, 5))).shape
    (2, 7)
    """
    found = _find(model, layer)
    call, seen = found.call, []
    default = inspect.signature(call).parameters["return_attention_scores"].default

    def watched(*args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.get("return_attention_scores", default)
        outputs = call(*args, **{**kwargs, "return_attention_scores": True})
        seen.append(keras.ops.convert_to_numpy(outputs[1]))
        return outputs if wanted else outputs[0]

    # for one call, on this object alone: the class and every other layer stay as they are
    found.call = watched
    try:
        model(inputs, training=False)
    finally:
        del found.call
    if not seen:
        raise ValueError(f"the model did not call its layer {found.name!r}; expected it to be used for these inputs.")
    return seen[-1]


class AttentionRecorder(keras.callbacks.Callback):
    """After every epoch, a picture of what a layer looks at; at the end, all of them as an animation.

    Writes `epoch_000.png` (before training), `epoch_001.png`, ... and `attention.gif` into a folder. Weights `[batch,
    steps]` make one picture of all inputs; where there are queries, hops, heads or features, it shows the first input,
    and of its heads the first: a row for each query (of `TemporalAttention`, for each step, with a column for each
    feature). More than 40 rows or columns are drawn without labels and numbers, the darkest colour being the largest
    weight so far.

    Args:
        inputs: a few inputs of the model, for example the first rows of the validation set.
        folder: where the pictures go; it is made.
        layer: the layer's name; may be left out where the model has one attention layer.
        columns: what stands over the columns, for example the source's tokens; numbers when left out.
        rows: what stands beside the rows; numbers when left out.
        truth: weights to compare with, shaped like one picture, drawn below it.
        animate: write the animation.

    Raises:
        ValueError: no such layer, or labels that do not fit the weights.

    >>> recorder = AttentionRecorder(np.ones((2, 7, 5)), "frames")
    """

    def __init__(
        self,
        inputs: Any,
        folder: str | os.PathLike[str],
        layer: str | None = None,
        columns: Sequence[str] | None = None,
        rows: Sequence[str] | None = None,
        truth: np.ndarray | None = None,
        animate: bool = True,
    ) -> None:
        super().__init__()
        self.inputs, self.folder, self.layer = inputs, Path(folder), layer
        self.columns, self.rows, self.truth, self.animate = columns, rows, truth, animate
        self.snapshots: list[Snapshot] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """A picture of the model as it starts."""
        make_folder(self.folder)
        self.snapshots = []
        self._record(0, {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """A picture of the model after this epoch."""
        self._record(epoch + 1, {name: float(value) for name, value in (logs or {}).items()})

    def on_train_end(self, logs: Any = None) -> None:
        """The animation."""
        if not self.animate:
            return
        if self._labelled():
            write_animation(self.snapshots, self.folder / "attention.gif")
        else:
            join_frames([self._path(snapshot.step) for snapshot in self.snapshots], self.folder / "attention.gif")

    def _record(self, epoch: int, scores: dict[str, float]) -> None:
        picture = attention_weights(self.model, self.inputs, self.layer).astype(np.float64)
        while picture.ndim > 2:
            picture = picture[0]
        rows = _labels("rows", self.rows, picture.shape[0])
        if self.truth is not None:
            picture = np.concatenate([picture, np.asarray(self.truth, np.float64)])
            rows += [f"truth {row}" for row in rows]
        columns = _labels("columns", self.columns, picture.shape[1])
        snapshot = Snapshot(epoch, Alignment(columns, rows, picture), scores, unit="epoch")
        self.snapshots.append(snapshot)
        if self._labelled():
            write_heatmap(Alignment(columns, rows, picture, snapshot.caption), self._path(epoch), scale=1.0)
            return
        largest = max(float(earlier.alignment.weights.max()) for earlier in self.snapshots)
        write_grids({"attention": picture}, self._path(epoch), caption=snapshot.caption, scale=largest)

    def _labelled(self) -> bool:
        return max(self.snapshots[0].alignment.weights.shape) <= LABELLED

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:03}.png"


def _labels(name: str, given: Sequence[str] | None, count: int) -> list[str]:
    """The labels of rows or columns; their numbers where none are given."""
    if given is not None and len(given) != count:
        raise ValueError(f"{name} has {len(given)} labels; expected {count}, as many as the picture has {name}.")
    return list(given or map(str, range(count)))


def _find(model: Any, name: str | None) -> Any:
    """The layer of that name, or the one attention layer of the model."""
    layers = list(_looking(model))
    named = [layer for layer in layers if name is None or layer.name == name]
    if len(named) == 1:
        return named[0]
    has = ", ".join(repr(layer.name) for layer in layers) or "none"
    if name is None:
        raise ValueError(f"the model has these attention layers: {has}; expected one, or say which, layer=NAME.")
    raise ValueError(f"layer is {name!r}; expected one of the model's attention layers: {has}.")


def _looking(layer: Any) -> Iterator[Any]:
    """The attention layers in a model, at any depth, but not those inside an attention layer."""
    for part in layer._flatten_layers(recursive=False, include_self=False):
        if "return_attention_scores" in inspect.signature(part.call).parameters:
            yield part
        else:
            yield from _looking(part)
