"""Which scores, windows and normalisers go together; the others are refused with the reason and an alternative."""

from heedful import _refusals

from .normalizers import Normalizer
from .scores import Score
from .windows import Window


def check_parts(score: Score, window: Window, normalizer: Normalizer, dropout: float) -> None:
    """Refuse parts that do not compose.

    Raises:
        ValueError: they do not, or one is no window or normaliser at all (a TypeError, too); the message names them,
            why, and what does.
    """
    _refusals.check_part("window", window, Window, "CausalWindow()")
    _refusals.check_part("normalizer", normalizer, Normalizer, "SparsemaxNormalizer()")
    sizes = {part.query_dim for part in window.modules() if isinstance(part, Window) and part.query_dim is not None}
    for size in sizes - {score.query_dim}:
        raise _refusals.other_features("query", score.query_dim, type(window).__name__, size)
    names = {part: type(part).__name__ for part in (score, window, normalizer)}
    if window.scales and normalizer.chooses:
        raise _refusals.a_scaled_choice(names[window], names[normalizer])
    if score.bounded and normalizer.reads_log_odds:
        raise _refusals.bounded_log_odds(names[score], names[normalizer])
    if normalizer.reads_log_weights and not score.log_weights:
        raise _refusals.no_log_weights(names[score], names[normalizer])
    if score.energies != normalizer.energies:
        raise _refusals.other_energies(names[score], score.energies, names[normalizer], normalizer.energies)
    if dropout and normalizer.refuses_dropout:
        raise _refusals.dropped_twice(names[normalizer])


def wrong_key(score: Score, features: int) -> ValueError:
    """What refuses keys of so many features, with the score that would take them."""
    name = type(score).__name__
    if score.compares_directly:
        instead = f"GeneralScore(query_dim={score.query_dim}, key_dim={features})"
        return _refusals.no_direct_comparison(features, score.query_dim, name, instead)
    return _refusals.other_features("key", features, name, score.key_dim)
