"""The picture of a confusion matrix holds the counts and labels it was given."""

import numpy as np
import pytest

from heedful.visual.confusion import draw_confusion, write_confusion

MATRIX = np.array([[5, 0, 2], [1, 7, 0], [0, 3, 11]])


def test_cells_rows_and_columns_are_where_they_belong(tmp_path):
    figure = draw_confusion(MATRIX, ["$a$", "two words", "c"], "title", [(0.4, 0.3, 5), (0.9, 1.0, 24)])
    cells, calibration = figure.axes
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in cells.texts}
    expected = {(row, column): str(MATRIX[row, column]) for row, column in zip(*np.nonzero(MATRIX), strict=True)}
    assert written == expected
    shares = np.asarray(cells.images[0].get_array())
    assert np.allclose(shares, MATRIX / [[7], [8], [14]])
    for labels in (cells.get_xticklabels(), cells.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["$a$", "two words", "c"]
    assert calibration.collections[0].get_offsets().tolist() == [[0.4, 0.3], [0.9, 1.0]]
    path = write_confusion(MATRIX, ["a", "b", "c"], tmp_path / "matrix.svg")
    assert ">11<" in path.read_text(encoding="utf-8")


def test_many_labels_give_colours_alone():
    figure = draw_confusion(np.eye(70, dtype=int), [f"label {number}" for number in range(70)])
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_yticklabels()) == 70


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"the matrix has shape \(2, 3\) for 3 labels"),
        (np.full((3, 3), -1), "negative numbers, NaN or infinity"),
        (np.full((3, 3), np.nan), "negative numbers, NaN or infinity"),
    ],
)
def test_what_is_no_matrix_of_counts_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        draw_confusion(matrix, ["a", "b", "c"])
