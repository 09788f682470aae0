"""What stands beside the mechanisms in the catalogue: losses on weights, positions, and measures of attention."""

import re
from importlib import import_module

from heedful.attention.catalogue import Entry, Kind, paragraph

# kind -> module -> its functions and classes, whose docstrings have the paragraphs "Source:" and "Cost:"
_COMPANIONS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "loss": {
        "attention.regularizers": (
            "attention_entropy",
            "attention_sharpness",
            "coverage_loss",
            "doubly_stochastic_loss",
            "fertility_loss",
            "guided_alignment_loss",
            "guided_attention_loss",
            "head_diversity_loss",
            "hop_penalty",
            "monotonicity_penalty",
        ),
        "training.latency": ("latency_loss",),
        "training.score_function": ("score_function_loss",),
        "decoding.penalties": ("coverage_penalty", "overcoverage_penalty"),
    },
    "position": {"layers.positions": ("LearnedPositions", "RotaryPositions", "SinusoidalPositions")},
    "measure": {
        "metrics.alignment": (
            "alignment_error_rate",
            "from_pharaoh",
            "hard_links",
            "merge_pieces",
            "soft_alignment_error_rate",
            "symmetrize",
            "to_pharaoh",
        ),
        "metrics.evidence": (
            "attention_flow",
            "attention_rollout",
            "attention_summary",
            "gradient_times_attention",
        ),
        "metrics.faithfulness": ("faithfulness",),
        "visual.heatmap": ("grid_heat",),
    },
}
_SOURCE = re.compile(r"(.+), (\d{4}), (.+)")


def companions() -> list[Entry]:
    """Losses, positions and measures, in this order, each kind by year and name.

    >>> [entry.place for entry in companions() if entry.name == "attention_rollout"]
    ['section 3']
    """
    return [
        entry
        for kind, modules in _COMPANIONS.items()
        for entry in sorted(_entries(kind, modules), key=lambda entry: (entry.year, entry.name))
    ]


def _entries(kind: Kind, modules: dict[str, tuple[str, ...]]) -> list[Entry]:
    return [_entry(kind, f"heedful.{module}", name) for module, names in modules.items() for name in names]


def _entry(kind: Kind, module: str, name: str) -> Entry:
    thing = getattr(import_module(module), name)
    text = thing.__doc__
    source = _SOURCE.fullmatch(paragraph(text, "Source"))
    if source is None:
        raise ValueError(f'{module}.{name} has no paragraph "Source: authors: title, year, place." in its docstring.')
    paper, year, place = source.groups()
    time, _, memory = paragraph(text, "Cost").removeprefix("time ").partition("; memory ")
    why = "works on NumPy arrays" if kind == "measure" else ""
    file = thing.__module__.replace(".", "/") + ".py"
    return Entry(name, kind, file, paper, place, int(year), text.partition("\n")[0], "", time, memory, why)
