"""Keys of a recipe that a task has no use for, so that nobody waits for an effect."""

from .data_options import DataOptions, Section
from .decoding_options import DecodingOptions
from .model_options import ModelOptions

_DECODER = ("attention", "wiring", "score", "decoder_units", "decoder_layers", "readout_units", "tie_embeddings")
_CLASSIFIER = ("pooling", "looks", "word_encoder", "word_dropout", "ngrams", "ngram_rows")
_SOURCE, _TARGET = ("source_embeddings",), ("target_embeddings",)
# task -> what it has no use for; what more it means than that stands with the key it goes with
WITHOUT_EFFECT = {
    "translation": _CLASSIFIER,
    "language_model": (*_CLASSIFIER, *_SOURCE, "encoder_layers", "merge"),
    "classification": (*_DECODER, *_TARGET),
    "caption": (*_CLASSIFIER, *_SOURCE),
    "forecast": (*_CLASSIFIER, *_SOURCE, *_TARGET, "tie_embeddings", "merge"),
}
_OF_LABELS = ("balance_labels",)
_OF_PAIRS = ("hold_out", "deduplicate", "max_length", "max_ratio", "streaming", "epoch_pairs")
DATA_WITHOUT_EFFECT = {
    "translation": _OF_LABELS,
    "language_model": _OF_LABELS,
    "classification": (),
    "caption": _OF_LABELS,
    "forecast": (*_OF_LABELS, *_OF_PAIRS),
}
# what answers at once, with a label or with numbers
NOT_DECODED = ("classification", "forecast")
_WAY_OUT = {"attention": "; a classifier looks with model.pooling"}


def refuse_without_effect(task: str, model: ModelOptions, data: DataOptions, decoding: DecodingOptions) -> None:
    """Refuse what was set to another value than its default, but changes nothing in this task.

    Raises:
        ValueError: names the first such key, and the way out.
    """
    _refuse(task, "model", model, WITHOUT_EFFECT[task])
    _refuse(task, "data", data, DATA_WITHOUT_EFFECT[task])
    if task in NOT_DECODED:
        _refuse(task, "decoding", decoding, tuple(DecodingOptions.model_fields))


def _refuse(task: str, section: str, options: Section, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(options, name)
        # some defaults are those of another key
        usual = type(options).model_fields[name].get_default(call_default_factory=True, validated_data=vars(options))
        if value != usual:
            raise ValueError(
                f"{section}.{name} is {value!r}, which has no effect on task: {task}; leave it "
                f"out{_WAY_OUT.get(name, '')}"
            )
