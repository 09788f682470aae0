"""JoeyNMT's side of decoding.py: its own search over the models of joeynmt_side.py.

python decoding_joeynmt.py JOEYNMT_FOLDER WORK_FOLDER recurrent|transformer float32
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

joeynmt_folder, work_folder, architecture, _ = sys.argv[1:]
# behind the packages that all sides share
sys.path.append(joeynmt_folder)
# joeynmt_side.py, which has the configurations, reads the same line
sys.argv[1:] = [joeynmt_folder, work_folder, "shipped", architecture]

import torch  # noqa: E402
from joeynmt.batch import Batch  # noqa: E402
from joeynmt.model import build_model  # noqa: E402
from joeynmt.search import search  # noqa: E402
from joeynmt.vocabulary import Vocabulary  # noqa: E402
from joeynmt_side import recurrent, transformer  # noqa: E402
from paced import serve  # noqa: E402

from heedful.data.batching import pad  # noqa: E402

PAD = 1


def build(given):
    """The model, in evaluation mode."""
    ids = {"unk": ("<unk>", 0), "pad": ("<pad>", PAD), "bos": ("<s>", 2), "eos": ("</s>", 3), "sep": (None, None)}
    tokens = {f"{name}_token": token for name, (token, _) in ids.items()}
    specials = SimpleNamespace(**tokens, **{f"{name}_id": place for name, (_, place) in ids.items()}, lang_tags=[])
    vocabulary = Vocabulary([str(number) for number in range(4, given["vocab_size"])], specials)
    sides = recurrent(0.0) if architecture == "recurrent" else (transformer(0.0), transformer(0.0))
    torch.manual_seed(1)
    config = {
        "tied_embeddings": True,
        "tied_softmax": architecture == "transformer",
        "encoder": sides[0],
        "decoder": sides[1],
    }
    return build_model(config, vocabulary, vocabulary).eval()


def main():
    """Answer until the input ends."""
    given = json.loads((Path(work_folder) / "work.json").read_text())
    model = build(given)

    def decode(sentences, beam):
        source, lengths = pad(sentences)
        source = source.masked_fill(source == 0, PAD)
        batch = Batch(
            src=source,
            src_length=lengths,
            src_prompt_mask=None,
            trg=None,
            trg_prompt_mask=None,
            indices=torch.arange(len(source)),
            device=torch.device("cpu"),
            pad_index=PAD,
            eos_index=3,
            is_train=False,
        )
        with torch.inference_mode():
            found, _, _ = search(
                model=model,
                batch=batch,
                max_output_length=given["tokens"],
                min_output_length=given["tokens"],
                beam_size=beam,
                beam_alpha=1.0,
                n_best=1,
                generate_unk=True,
                return_prob="none",
            )
        return found.shape[0] * found.shape[1]

    serve(sum(parameter.numel() for parameter in model.parameters()), decode, given)


if __name__ == "__main__":
    main()
