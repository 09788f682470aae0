"""A writer of captions from a recipe: trained on made pictures, scored, explained, told what it cannot use."""

import gzip
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from heedful._errors import DataError, RecipeError
from heedful.cli.main import app
from heedful.data.shapes import write_shapes
from heedful.metrics.captions import score_captions
from heedful.tasks.captioning import Captioner
from heedful.tasks.dispatch import load_model, train_recipe
from heedful.tasks.recipe import check_recipe
from heedful.tasks.recipe_files import load_recipe


def part(folder, name):
    return f"data.{name}={{features: {folder}/{name}/features, captions: {folder}/{name}/captions.jsonl}}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions")
    for seed, name in enumerate(("train", "valid", "test"), start=1):
        write_shapes(folder / name, 24 if name == "train" else 6, seed, unseen=name == "test")
    # what cannot be used stands beside what can
    train = folder / "train"
    (train / "features" / "0.npy").write_bytes(b"no array")
    np.save(train / "features" / "1.npy", np.zeros((4, 7)))
    (train / "features" / "2.npy").unlink()
    sizes = ["model.units=16", "model.decoder_units=16", "model.embedding_dim=8", "decoding.beam=2"]
    steps = ["training.max_steps=12", "training.validate_every=12", "training.warmup_steps=2"]
    more = [
        "training.tensorboard=false",
        "training.device=cpu",
        f"output={folder}/run",
        "decoding.max_length=9",
        "decoding.min_length=3",
    ]
    parts = [part(folder, name) for name in ("train", "valid", "test")]
    said: list[str] = []
    return folder, train_recipe(load_recipe("caption", [*parts, *sizes, *steps, *more]), said.append), said


@pytest.fixture
def shell():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_it_trains_over_what_it_cannot_use_and_comes_back_from_its_folder(trained):
    folder, run, said = trained
    told = " ".join(said)
    assert "left out 1 (no such picture)" in told
    assert "Left out 1 pictures of" in told
    assert "cannot be read, such as 0.npy" in told
    assert "have other than 312 features a region, such as 1.npy" in told
    assert run.result.step == 12
    again = load_model(run.model)
    assert isinstance(again, Captioner)
    assert again.recipe.model.feature_dim == 312
    pictures = [str(folder / "test" / "features" / f"{number}.npy") for number in range(6)]
    ours, theirs = ([best[0].text for best in one.translate(pictures)] for one in (run.translator, again))
    assert ours == theirs
    captions = [json.loads(line)["caption"] for line in (folder / "test" / "captions.jsonl").read_text().splitlines()]
    assert run.scores["test"] == score_captions(ours, [[one] for one in captions], ["bleu", "cider", "exact_match"])
    regions = np.load(pictures[0])
    found = again.explain(pictures[0])
    assert found.source.grid == regions.shape[:2]
    assert found.alignment.weights.shape == (len(found.target.words), regions.shape[0] * regions.shape[1])
    fed = again.align(pictures[0], captions[0])
    assert fed.weights.sum(1) == pytest.approx(1)
    for text, message in (("", "The caption is empty"), ("a dog", None)):
        if message:
            with pytest.raises(DataError, match=message):
                again.align(pictures[0], text)
    with pytest.raises(DataError, match="has 7 features a region, but the model reads 312"):
        again.translate([str(folder / "train" / "features" / "1.npy")])


def test_the_shell_scores_explains_and_counts(trained, shell, tmp_path):
    folder, run, _ = trained
    test = folder / "test"
    found = shell("evaluate", run.folder, test / "features", test / "captions.jsonl", "--json")
    assert json.loads(found.stdout)["scores"] == [vars(one) for one in run.scores["test"]]
    # without files it is the recipe's own test set, of which what cannot be used is left out, too
    picture = test / "features" / "0.npy"
    whole = picture.read_bytes()
    picture.write_bytes(b"no array")
    found = shell("evaluate", run.folder)
    picture.write_bytes(whole)
    assert (found.exit_code, found.stdout[:4]) == (0, "BLEU")
    assert "that cannot be read, such as 0.npy" in found.stderr
    found = shell("evaluate", run.folder, "--set", f"decoding.ensemble=[{tmp_path}/nothing]")
    assert (found.exit_code, "nothing does not exist" in found.stderr) == (1, True)
    found = shell("explain", run.folder, picture)
    caption = run.translator.translate([str(picture)])[0][0].text
    assert found.stdout.startswith(caption + "\n")
    assert re.search(r"row \d, column \d, \d+%", found.stdout)
    for name in ("look.html", "look.png", "look.json"):
        over = ["--picture", test / "images" / "0.png", "--output", tmp_path / name]
        found = shell("explain", run.folder, picture, *over, *(["--faithfulness"] if name.endswith("json") else []))
        assert found.exit_code == 0, found.output
    page = (tmp_path / "look.html").read_text()
    words = caption.split()
    assert page.count("<li>") == len(words)
    assert "<script" not in page
    with Image.open(tmp_path / "look.png") as drawn:
        assert drawn.width > 100
    sentence = json.loads((tmp_path / "look.json").read_text())["sentences"][0]
    rows, columns = sentence["grid"]
    assert list(sentence["faithfulness"]) == ["attention", "gradient x attention", "leave one out"]
    assert sentence["faithfulness"]["leave one out"]["agreement"] == pytest.approx(1)
    assert np.shape(sentence["weights"]) == (len(words), rows * columns)
    found = shell("inspect", folder / "train" / "features", folder / "train" / "captions.jsonl")
    assert "23 pictures with 23 captions" in found.stdout
    assert "left out 1 (1 no such picture)" in found.stdout
    assert "4 x 7" in found.stdout
    assert "cannot be read" in found.stdout
    listed = tmp_path / "pictures.txt"
    broken = folder / "train" / "features" / "0.npy"
    listed.write_text(f"{picture}\n\n{broken}\nno such.npy\n{picture}\n")
    found = shell("translate", run.folder, listed)
    assert (found.exit_code, found.stdout) == (0, f"{caption}\n\n\n\n{caption}\n")
    assert f"Left empty 2 that cannot be read, such as {broken}." in found.stderr
    for words in (
        ("evaluate", run.folder, test / "captions.jsonl"),
        ("explain", run.folder, picture, "--explore", "--output", tmp_path / "a.html"),
        ("inspect", test / "features", test / "captions.jsonl", "--columns", "a,b"),
    ):
        assert shell(*words).exit_code == 2, words
    found = shell("shortlist", run.folder)
    assert (found.exit_code, "is a model for caption" in found.stderr) == (1, True)
    found = shell("explain", run.folder, folder / "train" / "features" / "0.npy")
    assert (found.exit_code, "0.npy is no array that can be read" in found.stderr) == (1, True)


def test_no_client_of_a_server_names_files(trained, shell):
    pytest.importorskip("fastapi")
    found = shell("serve", trained[1].folder, "--port", "0")
    assert (found.exit_code, "caption writes captions of files on this machine" in found.stderr) == (1, True)


def test_pixels_are_read_by_convolutions_and_what_is_no_picture_is_counted(trained, shell, tmp_path):
    folder, _, _ = trained
    train = tmp_path / "train"
    write_shapes(train, 10, 1, unseen=False)
    (train / "images" / "0.png").write_text("no picture")
    Image.new("L", (900, 2)).save(train / "images" / "1.png")
    data = f"data.train={{images: {train}/images, captions: {train}/captions.jsonl}}"
    sizes = [
        "model.units=8",
        "model.decoder_units=8",
        "model.embedding_dim=8",
        "decoding.max_length=5",
        "decoding.min_length=2",
    ]
    steps = ["training.max_steps=2", "training.warmup_steps=1", "training.tensorboard=false", "training.device=cpu"]
    valid = f"data.valid={{images: {folder}/test/images, captions: {folder}/test/captions.jsonl}}"
    more = [f"output={tmp_path}/run", valid, "evaluation.metrics=[cer]", *sizes, *steps]
    picture = "model.picture={height: 16, width: null, grey: true, channels: [4, 4]}"
    said: list[str] = []
    run = train_recipe(load_recipe("read_lines", [data, *more, picture]), said.append)
    told = " ".join(said)
    assert "Left out 1 pictures" in told
    assert "that cannot be read, such as 0.png" in told
    assert "that are too large, such as 1.png" in told
    image = folder / "test" / "images" / "0.png"
    (score,) = run.scores["valid"]
    assert (score.name, score.value > 0) == ("CER", True)
    found = load_model(run.model).explain(str(image))
    with Image.open(image) as pixels:
        width = round(pixels.width * 16 / pixels.height)
    assert found.source.grid == (1, -(-width // 4))
    output = tmp_path / "look.html"
    assert shell("explain", run.folder, image, "--output", output).exit_code == 0
    found = shell("evaluate", run.folder, folder / "test" / "images", folder / "test" / "captions.jsonl")
    assert found.stdout.startswith("CER ")
    below = tmp_path / "below.jsonl.gz"
    below.write_bytes(gzip.compress(b'{"image": "images/1.png", "caption": "a"}'))
    looked_at = ((train / "images", train / "captions.jsonl"), (train, below), (run.folder / "recipe.yaml",))
    assert all("2 x 900" in shell("inspect", *where).stdout for where in looked_at)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "translation", "training": {"max_steps": 1}}, "'regions', which goes with task: caption alone"),
        (
            {"task": "translation", "training": {"max_steps": 1}, "model": {"encoder": "recurrent"}},
            "the task is 'translation', but a part of data has",
        ),
        ({"data": {"train": {"tsv": "a.tsv"}}}, "the task is 'caption', but a part of data has no captions"),
        ({"data": {"train": {"captions": "a.jsonl"}}}, "features or images with captions, or one of .* came captions"),
        ({"model": {"encoder": "convolutional"}}, "model.encoder 'convolutional' reads images; name them with"),
        ({"evaluation": {"metrics": ["tokenized_bleu"], "language": "de"}}, "captions have some of bleu, cider"),
        ({"tokenizer": {"joint": True}, "model": {"share_embeddings": True}}, "pictures are not text"),
    ],
)
def test_recipes_that_mix_pictures_and_texts_are_refused(changes, message):
    whole = load_recipe("caption").model_dump()
    with pytest.raises(RecipeError, match=message):
        check_recipe(whole | changes, "the recipe")
