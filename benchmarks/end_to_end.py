"""What does a translator gain from fused additive attention: a training step and beam search, with and without?

python benchmarks/end_to_end.py [--threads N] [--rounds N] [--text NAME] [--wiring NAME] [--work training|beam]

The sides differ in the score alone: fused, tanh as everyone writes it, and the general (bilinear) score as the price of
products. The model is the recipe `pairs`: embeddings 256, GRU 2 x 256 and 512, 256 attention units.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import torch
from record import append
from torch import Tensor
from torch.nn.functional import linear

from heedful._memory import keep_freed_memory
from heedful.attention import Attention
from heedful.attention.scores import AdditiveScore
from heedful.data.batching import Batch, collate
from heedful.decoding.beam import beam_search
from heedful.decoding.constraints import Constraints
from heedful.decoding.options import Decoding
from heedful.models import Seq2Seq
from heedful.tasks.build import build_model
from heedful.tasks.recipe_files import load_recipe
from heedful.training import sequence_loss

BEAM = 5


class Text(NamedTuple):
    """Random ids in real numbers: sentences of a training step, mean source and target tokens, ids; and sentences of a
    beam search.
    """

    sentences: int
    source_len: int
    target_len: int
    vocab_size: int
    searched: int


TEXTS = {
    # Multi30k in joint pieces, batches of one length, 2,900 target tokens
    "sentences": Text(190, 14, 15, 8000, 50),
    "paragraphs": Text(29, 100, 100, 8000, 20),
    "characters": Text(6, 400, 400, 100, 5),
}


class TanhScore(AdditiveScore):
    """The same score, its tanh taken of every query beside every key."""

    fused = False

    def keep(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return key, value

    def forward(self, query: Tensor, key: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return torch.tanh(linear(query, self.query_proj).unsqueeze(2) + key.unsqueeze(1)) @ self.energy, state


def build(side: str, wiring: str, vocab_size: int) -> Seq2Seq:
    """The same weights on every side, but for the score."""
    changes = [f"model.wiring={wiring}", f"model.decoder_layers={2 if wiring == 'look_between' else 1}"]
    if side == "general":
        changes.append("model.score=general")
    options = load_recipe("pairs", changes).model
    torch.manual_seed(1)
    model = build_model(options, vocab_size, vocab_size)
    if side == "tanh":
        score = TanhScore(options.decoder_units, 2 * options.encoder_units, options.attention_units)
        model.decoder.attention = Attention(score)
    return model


def make_batch(text: Text, sentences: int) -> Batch:
    """Sentences whose lengths differ by a fifth at most, as they do in batches of one length."""
    torch.manual_seed(2)

    def side(length: int) -> list[list[int]]:
        lengths = torch.randint(round(0.9 * length), round(1.1 * length) + 1, (sentences,)).tolist()
        return [torch.randint(4, text.vocab_size, (n,)).tolist() for n in lengths]

    return collate(side(text.source_len), side(text.target_len - 1), range(sentences))


def training(model: Seq2Seq, text: Text) -> Callable[[], object]:
    """A step: forward, backward, clip, update."""
    batch = make_batch(text, text.sentences)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()

    def step() -> None:
        loss = sequence_loss(model, batch, smoothing=0.1)
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def beam(model: Seq2Seq, text: Text) -> Callable[[], object]:
    """A search that says as many tokens as a target has; an untrained model would not stop of its own."""
    batch = make_batch(text, text.searched)
    model.eval()
    limits = Constraints(min_length=text.target_len, max_length=text.target_len)
    return lambda: beam_search(model, batch.source, batch.source_lengths, Decoding(beam=BEAM, constraints=limits))


def measure(name: str, wiring: str, work: str, rounds: int) -> None:
    """One row: the three sides in turn, after a run of each."""
    text, make = TEXTS[name], {"training": training, "beam": beam}[work]
    sides = {side: make(build(side, wiring, text.vocab_size), text) for side in ("fused", "tanh", "general")}
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, run in sides.items():
            begun = time.perf_counter()
            run()
            if number:
                found[side].append(1000 * (time.perf_counter() - begun))
    middle = {side: median(times) for side, times in found.items()}
    append(
        "end_to_end",
        threads=torch.get_num_threads(),
        rounds=rounds,
        text=name,
        wiring=wiring,
        work=work,
        sentences=text.sentences if work == "training" else text.searched,
        source_len=text.source_len,
        target_len=text.target_len,
        **{f"{side} ms": f"{number:.1f}" for side, number in middle.items()},
        **{f"{side} range": f"{min(times):.1f}-{max(times):.1f}" for side, times in found.items()},
        **{f"{side} / fused": f"{middle[side] / middle['fused']:.2f}" for side in ("tanh", "general")},
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", choices=TEXTS, action="append")
    parser.add_argument("--wiring", choices=("bahdanau", "look_between"), action="append")
    parser.add_argument("--work", choices=("training", "beam"), action="append")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    for name in given.text or TEXTS:
        for wiring in given.wiring or ("bahdanau", "look_between"):
            for work in given.work or ("training", "beam"):
                measure(name, wiring, work, given.rounds)


if __name__ == "__main__":
    main()
