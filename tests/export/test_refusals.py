"""What reads pictures is refused from Python as from the command line."""

import pytest

from heedful._errors import ExportError
from heedful.export import make_graphs
from heedful.export.ctranslate2 import refuse_unrepresentable
from heedful.tasks.build import build_captioner
from heedful.tasks.model_options import ModelOptions
from tests.export.small import SIZES, TRANSFORMER

PICTURE = {"height": 16, "width": 24, "channels": [4, 5], "grey": True}


@pytest.mark.parametrize("refuse", [make_graphs, refuse_unrepresentable])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"encoder": "regions"}, "RegionEncoder"),
        ({"encoder": "convolutional", "picture": PICTURE}, "ConvolutionalEncoder"),
        ({"encoder": "recurrent"}, "RecurrentEncoder"),
        ({**TRANSFORMER, "transformer": {"heads": 2}}, "TransformerEncoder"),
    ],
)
def test_an_encoder_of_pictures_is_named_with_the_way_out(refuse, options, named):
    sizes = {} if named == "ConvolutionalEncoder" else {"feature_dim": 5}
    model = build_captioner(ModelOptions.model_validate({**SIZES, **sizes, **options}), vocab=11)
    with pytest.raises(ExportError, match=rf"\({named}\) reads pictures.*`heedful explain` writes captions"):
        refuse(model)
