"""Captions of pictures: names that lead to files, arrays of regions, pictures that cannot be read, made ones."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from heedful._errors import DataError
from heedful.data.batching import collate, pad
from heedful.data.captions import by_picture
from heedful.data.pictures import MOST_PIXELS, read_picture
from heedful.data.readers import gather
from heedful.data.regions import read_regions, region_shape
from heedful.data.shapes import CELL, COLORS, held_out, shapes_pictures
from heedful.data.sources import DataSource


def test_names_lead_to_files_of_the_folder_and_faults_are_counted(tmp_path):
    folder = tmp_path / "features"
    (folder / "deep").mkdir(parents=True)
    for name in ("dog.npy", "cat.jpg.npy", "deep/cow.npy"):
        np.save(folder / name, np.zeros((2, 3)))
    save_file({"regions": torch.zeros(2, 3)}, folder / "hen.safetensors")
    np.save(tmp_path / "outside.npy", np.zeros((2, 3)))
    lines = [
        {"image": "dog.jpg", "caption": "a dog"},
        {"image": "cat.jpg", "captions": ["a cat", "it sleeps", "", 7]},
        {"image": "deep/cow.npy", "caption": "a cow"},
        {"image": "hen.png", "captions": ["a hen"]},
        {"image": "nobody.jpg", "captions": ["one", "two"]},
        {"image": "../outside.npy", "caption": "outside"},
        {"image": str(tmp_path / "outside.npy"), "caption": "outside"},
        {"image": "dog.jpg"},
        {"picture": "dog.jpg", "caption": "a dog"},
        ["dog.jpg"],
    ]
    captions = tmp_path / "captions.jsonl"
    captions.write_text("\n".join([*map(json.dumps, lines), "no json", ""]), encoding="utf-8")
    pairs = gather(DataSource("features", str(captions), str(folder)))
    names = [path.rpartition("features/")[2] for path in pairs.source]
    assert list(zip(names, pairs.target, strict=True)) == [
        ("dog.npy", "a dog"),
        ("cat.jpg.npy", "a cat"),
        ("cat.jpg.npy", "it sleeps"),
        ("deep/cow.npy", "a cow"),
        ("hen.safetensors", "a hen"),
    ]
    assert pairs.skipped == {"empty line": 1, "no caption": 2, "no such picture": 4, "not a JSON object": 3}
    assert by_picture(pairs)[1] == [["a dog"], ["a cat", "it sleeps"], ["a cow"], ["a hen"]]
    with pytest.raises(DataError, match=r"There is no folder .*nowhere; name the one that holds the pictures"):
        gather(DataSource("features", str(captions), str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("array", "shape", "grid"),
    [
        (np.arange(42).reshape(2, 3, 7), (6, 7), (2, 3)),
        (np.arange(63.0).reshape(9, 7).astype(np.float16), (9, 7), (3, 3)),
        (np.arange(35.0).reshape(5, 7), (5, 7), (1, 5)),
    ],
)
def test_regions_come_row_after_row_and_a_square_is_a_grid(tmp_path, array, shape, grid):
    np.save(tmp_path / "a.npy", array)
    save_file({"a": torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))}, tmp_path / "a.safetensors")
    for name in ("a.npy", "a.safetensors"):
        regions = read_regions(tmp_path / name)
        assert regions.ids.dtype == np.float32
        assert regions.ids.tolist() == array.reshape(shape).astype(np.float32).tolist()
        assert (regions.grid, len(regions.words), region_shape(tmp_path / name)) == (grid, shape[0], array.shape)
    assert regions.words[-1] == ("region 5" if grid[0] == 1 else f"row {grid[0]}, column {grid[1]}")


def test_arrays_that_are_no_regions_are_refused(tmp_path):
    whole = np.zeros((4, 3))
    odd = {"flat": whole[0], "deep": whole[None, None], "text": np.array([["a"]]), "none": whole[:0]}
    for name, array in odd.items():
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(DataError, match=r"expected numbers \[regions, features\] or \[rows, columns, features\]"):
            read_regions(tmp_path / f"{name}.npy")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "cut.npy", whole)
    content = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[:-8])
    (tmp_path / "bytes.safetensors").write_bytes(b"nothing of that kind")
    save_file({"a": torch.zeros(1, 2), "b": torch.zeros(1, 2)}, tmp_path / "two.safetensors")
    for name in ("object.npy", "cut.npy", "bytes.safetensors", "two.safetensors", "missing.npy"):
        with pytest.raises(DataError, match="is no array that can be read"):
            read_regions(tmp_path / name)
    np.save(tmp_path / "nan.npy", np.full((2, 3), np.nan))
    with pytest.raises(DataError, match="holds NaN or infinity"):
        read_regions(tmp_path / "nan.npy")


def test_pictures_of_several_sizes_are_padded_with_zeros():
    pictures = [np.ones((2, 3), np.float32), np.full((4, 3), 2.0)]
    padded, lengths = pad(pictures)
    assert (padded.shape, padded.dtype, lengths.tolist()) == ((2, 4, 3), torch.float32, [2, 4])
    assert padded[0].tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    batch = collate(pictures, [[5], [6, 7]], [1, 0])
    assert batch.source[:, :, 0].tolist() == [[2.0] * 4, [1.0, 1.0, 0.0, 0.0]]
    assert batch.part(slice(1, 2)).source.shape == (1, 2, 3)


def test_pictures_of_every_kind_become_bytes_and_others_are_refused(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert read_picture(tmp_path / "grey.png", grey=True).tolist() == grey.tolist()
    assert read_picture(tmp_path / "grey.png").tolist() == np.repeat(grey[..., None], 3, 2).tolist()
    Image.fromarray(grey.astype(np.uint16) * 256).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png", grey=True).tolist() == grey.tolist()
    Image.new("RGBA", (3, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png").min() == 255
    turned = Image.new("RGB", (3, 2), "red")
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    assert read_picture(tmp_path / "turned.jpg").shape == (3, 2, 3)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 60), np.uint8)).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    # a header that claims 60,000 x 60,000 pixels
    (tmp_path / "huge.pgm").write_bytes(b"P5 60000 60000 255\n")
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.png").write_text("no picture")
    for name, why in {
        "huge.pgm": f"more than {MOST_PIXELS:,}",
        "cut.png": "cannot be read",
        "text.png": "is no picture",
        "missing.png": "There is no picture",
    }.items():
        with pytest.raises(DataError, match=why):
            read_picture(tmp_path / name)


def test_made_pictures_show_what_their_captions_say():
    pictures = [*shapes_pictures(20, seed=3, unseen=False)]
    assert not any(map(held_out, pictures))
    assert all(map(held_out, shapes_pictures(5, seed=3, unseen=True)))
    again = [*shapes_pictures(20, seed=3, unseen=False)]
    assert all((one.pixels == other.pixels).all() for one, other in zip(pictures, again, strict=True))
    for picture in pictures:
        words, regions = picture.caption.split(), picture.regions()
        assert regions.shape[:2] == (picture.rows, picture.columns)
        for word, cell in zip(words, picture.looks(), strict=True):
            assert (cell is None) == (word in ("a", "above", "beside"))
            if word in COLORS:
                row, column = divmod(int(cell), picture.columns)
                at = np.ix_(*(np.arange(place * CELL, (place + 1) * CELL) for place in (row, column)))
                pixels = picture.pixels[at].reshape(-1, 3)
                # what is brightest relative to the ground, whatever its brightness
                vivid = pixels[pixels.max(1) > 110].mean(0)
                apart = [abs(vivid / vivid.max() - np.array(own) / max(own)).sum() for own in COLORS.values()]
                assert [*COLORS][int(np.argmin(apart))] == word
                expected = (picture.pixels[at].astype(float).reshape(-1) - 70) / 60
                assert regions[row, column, : CELL * CELL * 3] == pytest.approx(expected, abs=1e-6)
                assert (regions[row, column, -12:-6].argmax(), regions[row, column, -6:].argmax()) == (row, column)
