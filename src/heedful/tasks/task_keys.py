"""Keys of a recipe's model that a task has no use for, so that nobody waits for an effect."""

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
_WAY_OUT = {"attention": "; a classifier looks with model.pooling"}


def refuse_without_effect(task: str, model: ModelOptions) -> None:
    """Refuse what was set to another value than its default, but changes nothing in this task.

    Raises:
        ValueError: names the first such key, and the way out.
    """
    for name in WITHOUT_EFFECT[task]:
        value = getattr(model, name)
        # some defaults are those of another key
        usual = type(model).model_fields[name].get_default(call_default_factory=True, validated_data=vars(model))
        if value != usual:
            raise ValueError(
                f"model.{name} is {value!r}, which has no effect on task: {task}; leave it out{_WAY_OUT.get(name, '')}"
            )
