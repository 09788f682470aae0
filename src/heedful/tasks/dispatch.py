"""What a recipe or a model folder is for, and what does it: the one place that knows every task."""

import os

from .captioning import CAPTION
from .classification import CLASSIFICATION
from .comparable import Comparable
from .comparable_captions import ComparableCaptions
from .comparable_labels import ComparableLabels
from .comparable_language import ComparableLanguage
from .comparable_series import ComparableSeries
from .comparable_texts import ComparableTexts
from .corpora import Say
from .forecasting import FORECAST
from .language_model import LANGUAGE_MODEL
from .model_folder import task_of
from .recipe import Recipe
from .trained import TrainedModel
from .translation import TRANSLATION, Run, train_translator
from .translator import Translator

TASKS = {task.kind.task: task for task in (TRANSLATION, LANGUAGE_MODEL, CLASSIFICATION, CAPTION, FORECAST)}
# by task, how its models are compared
COMPARABLE: dict[str, Comparable] = {
    "translation": ComparableTexts(),
    "language_model": ComparableLanguage(),
    "classification": ComparableLabels(),
    "caption": ComparableCaptions(),
    "forecast": ComparableSeries(),
}


def train_recipe(recipe: Recipe, say: Say = lambda _: None) -> Run:
    """Train what a recipe describes, see `train_translator`."""
    return train_translator(recipe, task=TASKS[recipe.task], say=say)


def load_model(folder: str | os.PathLike[str]) -> TrainedModel:
    """What lies in a model folder: a translator, the writer of a language model or of captions, or another.

    Raises:
        ModelFolderError: see `TrainedModel.load`.
    """
    task = TASKS.get(task_of(folder))
    return (task.kind if task else Translator).load(folder)
