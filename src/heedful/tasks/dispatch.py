"""What a recipe or a model folder is for, and what does it: the one place that knows every task."""

import os

from .corpora import Say
from .language_model import LANGUAGE_MODEL, Writer
from .model_folder import task_of
from .recipe import Recipe
from .translation import TRANSLATION, Run, train_translator
from .translator import Translator


def train_recipe(recipe: Recipe, say: Say = lambda _: None) -> Run:
    """Train what a recipe describes, see `train_translator`."""
    task = LANGUAGE_MODEL if recipe.task == Writer.task else TRANSLATION
    return train_translator(recipe, task=task, say=say)


def load_model(folder: str | os.PathLike[str]) -> Translator:
    """What lies in a model folder: a translator, or the writer of a language model, which goes on with a text.

    Raises:
        ModelFolderError: see `Translator.load`.
    """
    return (Writer if task_of(folder) == Writer.task else Translator).load(folder)
