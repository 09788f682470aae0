"""Hugging Face's side of decoding.py: a Marian model of the same sizes, `generate`.

python decoding_marian.py EXTRA_FOLDER WORK_FOLDER transformer float32
"""

import json
import sys
from pathlib import Path

extra_folder, work_folder, architecture, _ = sys.argv[1:]
# behind the packages that all sides share
sys.path.append(extra_folder)

import torch  # noqa: E402
from paced import serve  # noqa: E402
from transformers import MarianConfig, MarianMTModel  # noqa: E402

from heedful.data.batching import pad  # noqa: E402


def build(given):
    """Untrained, its first values by its own rule."""
    sizes, names = given["transformer"], ("encoder", "decoder")
    torch.manual_seed(1)
    config = MarianConfig(
        vocab_size=given["vocab_size"],
        d_model=sizes["dim"],
        **{f"{name}_layers": sizes["layers"] for name in names},
        **{f"{name}_attention_heads": sizes["heads"] for name in names},
        **{f"{name}_ffn_dim": sizes["hidden"] for name in names},
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=0,
        eos_token_id=3,
        forced_eos_token_id=None,
        decoder_start_token_id=0,
    )
    return MarianMTModel(config).eval()


def main():
    """Answer until the input ends."""
    if architecture != "transformer":
        raise SystemExit("Marian in Hugging Face's transformers has no recurrent models")
    given = json.loads((Path(work_folder) / "work.json").read_text())
    model = build(given)

    def decode(sentences, beam):
        source, lengths = pad(sentences)
        mask = (torch.arange(source.shape[1]) < lengths.unsqueeze(1)).long()
        with torch.inference_mode():
            found = model.generate(
                input_ids=source,
                attention_mask=mask,
                num_beams=beam,
                do_sample=False,
                min_new_tokens=given["tokens"],
                max_new_tokens=given["tokens"],
            )
        return (found.shape[1] - 1) * len(found)

    serve(sum(parameter.numel() for parameter in model.parameters()), decode, given)


if __name__ == "__main__":
    main()
