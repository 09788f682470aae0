"""What a format does not take is refused from Python as from the command line, in one sentence."""

import re

import pytest

from heedful._errors import ExportError
from heedful.export import export_ctranslate2, export_web
from heedful.tasks.build import build_captioner, build_classifier, build_forecaster, build_language_model
from heedful.tasks.model_options import ModelOptions
from tests.export.small import SIZES, tokenizer_pair

OPTIONS = ModelOptions.model_validate({**SIZES, "feature_dim": 5})
REGIONS = OPTIONS.model_copy(update={"encoder": "regions"})
PIXELS = OPTIONS.model_copy(update={"encoder": "convolutional"})
LEVELS = OPTIONS.model_copy(update={"encoder": "hierarchical"})
MODELS = {
    "regions": ("caption", lambda: build_captioner(REGIONS, 11)),
    "pixels": ("caption", lambda: build_captioner(PIXELS, 11)),
    "texts": ("classification", lambda: build_classifier(OPTIONS, 11, 2)),
    "documents": ("classification", lambda: build_classifier(LEVELS, 11, 2)),
    "series": ("forecast", lambda: build_forecaster(OPTIONS, 2)),
    "language": ("language_model", lambda: build_language_model(OPTIONS, 11)),
}


@pytest.mark.parametrize(("write", "taker"), [(export_ctranslate2, "CTranslate2"), (export_web, "the page")])
@pytest.mark.parametrize("name", MODELS)
def test_what_takes_translators_alone_says_what_the_model_is_for(name, write, taker, tmp_path):
    task, make = MODELS[name]
    said = f"the model is for {task}, and {taker} takes translators; export to onnx or torch instead."
    with pytest.raises(ExportError, match=f"^{re.escape(said)}$"):
        write(make(), tokenizer_pair(), tmp_path / "out")
    assert not list(tmp_path.iterdir())
