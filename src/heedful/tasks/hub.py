"""Models on the Hugging Face Hub: fetched by name and shared by name, the same files as in a folder, never a pickle."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import heedful
from heedful._errors import ModelFolderError, OutputError
from heedful.metrics.translation import shown_value

from .model_folder import FILES, SHORTLIST, TASKS, find_model
from .recipe import Recipe

CARD = "README.md"
# by task: the hub's name of it, the class, what one is called, and how it is asked
_USES = {
    "translation": ("translation", "Translator", "translator", 'translate(["..."])[0][0].text'),
    "language_model": ("text-generation", "Writer", "writer", 'translate(["..."])[0][0].text'),
    "classification": ("text-classification", "Classifier", "classifier", 'classify(["..."])[0].label'),
    "forecast": ("time-series-forecasting", "Forecaster", "forecaster", 'forecast(forecaster.read("table.csv"))'),
    "caption": ("image-to-text", "Captioner", "captioner", 'translate(["dog.npy"])[0][0].text'),
}
Model = TypeVar("Model", bound="HubMixin")


class HubMixin(ABC):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` for what can `load` and `save` a model folder.

    Names and arguments are those of `huggingface_hub.ModelHubMixin`. That class is not inherited, for it reads
    `config.json` before anybody has checked it, and hands what stands there to the constructor.
    """

    recipe: Recipe
    metrics: Mapping[str, Any]

    @classmethod
    @abstractmethod
    def load(cls: type[Model], folder: str | os.PathLike[str]) -> Model:
        """Read a model folder."""

    @abstractmethod
    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder, whole or not at all."""

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Model:
        """Read the model in a folder, or one from the hub, of which the files of a model are fetched and no more.

        Args:
            name_or_path: a folder, or a name on the hub, such as "somebody/model".
            revision: branch, tag or commit of a name on the hub; its main branch when left out.
            token: for models that not everybody may see; the one of `hf auth login` when left out.
            cache_dir: where fetched files are kept; the hub's own cache when left out.
            force_download: fetch again what is there already.
            local_files_only: use what was fetched before, and no network.

        Raises:
            ModelFolderError: there is no such model, it cannot be fetched, or it is refused as `load` says.
        """
        if Path(name_or_path).is_dir():
            return cls.load(find_model(name_or_path))
        options = {"revision": revision, "token": token, "cache_dir": cache_dir, "force_download": force_download}
        return cls.load(fetch(os.fspath(name_or_path), local_files_only=local_files_only, **options))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """The same as `save`, by the name that it has elsewhere."""
        return self.save(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Model of heedful",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Put the model on the hub; a repository that has no README.md gets one.

        Args:
            repo_id: such as "somebody/model"; made if need be.
            commit_message: what its history shall say.
            private: whether only you may see a repository that is made.
            token: that lets you write; the one of `hf auth login` when left out.
            branch: to write to; the main one when left out.
            create_pr: propose it to the owner instead.

        Returns:
            The address of the commit.

        Raises:
            OutputError: the hub does not take it, or cannot be reached.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token, library_name="heedful", library_version=heedful.__version__)
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.save(Path(temporary, "model"))
            try:
                repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                if not api.file_exists(repo_id, CARD):
                    (folder / CARD).write_text(card(self.recipe, self.metrics), encoding="utf-8")
                commit = api.upload_folder(
                    repo_id=repo_id,
                    folder_path=folder,
                    commit_message=commit_message,
                    revision=branch,
                    create_pr=create_pr,
                    allow_patterns=[*FILES, SHORTLIST, CARD],
                    # one of an older model would make the folder unreadable; a new one is put in its place
                    delete_patterns=[SHORTLIST],
                )
            except Exception as error:  # the network, the hub and the system each have errors of their own
                raise OutputError(
                    f"cannot write a model to {repo_id} on the hub: {_first_line(error)}; check name and network, "
                    "or log in with `hf auth login`"
                ) from error
        return commit.commit_url


def fetch(repo_id: str, **options: Any) -> Path:
    """The folder in the hub's cache that holds the files of a model; others are not fetched.

    Args:
        repo_id: name on the hub.
        options: of `huggingface_hub.snapshot_download`.

    Raises:
        ModelFolderError: there is no such model, or it cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(repo_id, allow_patterns=[*FILES, SHORTLIST], library_name="heedful", **options))
    except HFValidationError:
        why = f"There is no folder {repo_id}, and it can be no name on the hub, such as somebody/model; check the path."
    except RepositoryNotFoundError:
        why = (
            f"There is no folder {repo_id}, and no model of that name on the hub that you may see; check the name, "
            "or log in with `hf auth login`."
        )
    except RevisionNotFoundError:
        why = f"{repo_id} on the hub has no revision {options.get('revision')!r}; check the name, or leave it out."
    except Exception as error:  # the network, the hub and the system each have errors of their own
        why = f"{repo_id} is no folder here, and cannot be fetched from the hub: {_first_line(error)}."
    raise ModelFolderError(why)


def card(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """The README.md of a model: what it is, how to use it, and its scores with their signatures."""
    from huggingface_hub import ModelCardData

    tag, name, made, call = _USES[recipe.task]
    if recipe.model.encoder == "convolutional":
        call = call.replace("dog.npy", "dog.jpg")
    module = TASKS[recipe.task].rpartition(".")[0]
    data = ModelCardData(library_name="heedful", pipeline_tag=tag, tags=["attention", tag])
    rows = [
        f"| {part} | {one['name']} | {shown_value(one['name'], one['value'])} | `{one['signature']}` |\n"
        for part, scores in metrics.get("scores", {}).items()
        for one in scores
    ]
    table = "".join(["\n| set | metric | value | signature |\n|---|---|---:|---|\n", *rows]) if rows else ""
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {recipe.name}\n\n"
        f"{_what_it_is(recipe)}, trained with heedful {heedful.__version__} by "
        f"the recipe in `recipe.yaml`.\n\n```python\nfrom {module} import {name}\n\n"
        f'{made} = {name}.from_pretrained("NAME OF THIS MODEL")\n'
        f"print({made}.{call})\n```\n{table}"
    )


def _what_it_is(recipe: Recipe) -> str:
    model = recipe.model
    if recipe.task == "classification":
        reads = "without an encoder" if model.encoder == "none" else f"{model.encoder} encoder"
        return f"A classifier ({reads}, pooling: {model.pooling})"
    if recipe.task == "forecast":
        return f"A forecaster of {model.forecast.horizon} steps by {model.forecast.window} (DA-RNN)"
    if recipe.task == "caption":
        return f"A writer of captions ({model.encoder} encoder, {model.decoder} decoder)"
    if recipe.task == "language_model":
        return "A Transformer language model" if model.decoder == "transformer" else "A recurrent language model"
    if model.encoder != model.decoder:
        return f"An encoder-decoder ({model.encoder} encoder, {model.decoder} decoder)"
    if model.encoder == "transformer":
        return "A Transformer encoder-decoder"
    return f"A recurrent encoder-decoder (wiring: {model.wiring})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
