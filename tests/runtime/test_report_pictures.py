"""What the pictures of a run hold, read back from the figures that are written."""

import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from cnn_jax.errors import UserError
from cnn_jax.runtime import report_pictures

pytestmark = pytest.mark.draws


@pytest.fixture
def drawn(monkeypatch):
    """The figures, as they are when they would be written."""
    figures = []
    monkeypatch.setattr(
        report_pictures, "save_picture", lambda figure, out, dpi=0: figures.append(figure)
    )
    yield figures
    for figure in figures:
        plt.close(figure)


def rows_file(tmp_path, losses, **others):
    rows = [
        {"step": 10 * i, "epoch": i, "train/loss": 1 / i, "validation/loss": loss}
        | {key: values[i - 1] for key, values in others.items()}
        for i, loss in enumerate(losses, 1)
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"step": 1, "loss": 3.0}, *rows]))
    return path


def test_curves_have_title_rate_and_best(tmp_path, drawn):
    path = rows_file(tmp_path, [0.9, 0.5, 0.7], learning_rate=[0.1, 0.05, 0.01])
    report_pictures.draw_curves(path, tmp_path / "x.png", "net, set, seed 3", best_step=20)
    figure = drawn[0]
    assert figure.get_suptitle() == "net, set, seed 3"
    loss, rate = figure.axes
    assert rate.get_title() == "learning rate"
    assert rate.lines[0].get_ydata().tolist() == [0.1, 0.05, 0.01]
    assert rate.get_yscale() == "log"
    star = loss.lines[-1]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 0.5)
    assert star.get_label() == "best checkpoint: 0.5000"


def test_one_outlier_flattens_no_axis(tmp_path, drawn):
    losses = [1 - i / 60 for i in range(60)]
    losses[5:8] = 200.0, 300.0, 250.0  # three of 120 values: fewer than one in twenty
    report_pictures.draw_curves(rows_file(tmp_path, losses), tmp_path / "x.png")
    panel = drawn[0].axes[0]
    assert panel.get_ylim()[1] < 1.2
    assert [text.get_text() for text in panel.texts][-1:] == ["  300"]  # the farthest of its curve
    assert [line.get_marker() for line in panel.lines[-3:]] == ["^"] * 3


def test_limits_leave_out_only_what_lies_far_off():
    values = [0.0, *np.linspace(1, 2, 20), math.nan]
    assert report_pictures.robust_limits([*values, 2.5]) == (0.0, 2.5)
    low, high = report_pictures.robust_limits([*values, 100.0])
    assert low == 0.0
    assert high == pytest.approx(2 - 1 / 19)  # two of 22 are cut at either end
    assert report_pictures.robust_limits([1.0, 2.0, 99.0]) == (1.0, 99.0)
    assert report_pictures.robust_limits([math.inf]) == (0.0, 1.0)


@pytest.mark.parametrize("count", [10, 100])
def test_a_confusion_matrix_is_named_and_counted(tmp_path, drawn, count):
    matrix = (np.eye(count, dtype=int) * 9 + np.eye(count, k=1, dtype=int)).tolist()
    names = [f"class {i}" for i in range(count)]
    result = {
        "split": "test", "protocol": "single_crop", "dataset": "set", "examples": 10 * count,
        "accuracy": 0.9, "confusion_matrix": matrix, "classes": dict.fromkeys(names),
    }  # fmt: skip
    report_pictures.draw_confusion(result, tmp_path / "x.png")
    panel = drawn[0].axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == names
    assert [text.get_text() for text in panel.texts if text.get_position() == (1, 0)] == ["1"]
    assert len(panel.texts) == 2 * count - 1
    right = f"{9 * count} of {10 * count:,} right (90.00%)"
    assert panel.get_title() == f"set, test: {right}, single_crop"
    drawn[0].draw_without_rendering()
    cell = panel.get_window_extent().width / count / drawn[0].dpi * 72  # points
    assert all(text.get_fontsize() < cell for text in [*panel.texts, *panel.get_yticklabels()])


def test_top_losses_show_their_images(tmp_path, drawn):
    rows = [
        {"image": "a/" * 30 + f"{i}.png", "label": "cat", "predicted": "dog", "loss": 5.0 - i}
        for i in range(3)
    ]
    images = [np.full((4, 4, 1), 50 * i, np.uint8) for i in range(3)]
    report_pictures.draw_top_losses(
        {"split": "test", "top_losses": rows}, images, tmp_path / "x.png"
    )
    panel = drawn[0].axes[1]
    assert panel.images[0].get_array().tolist() == images[1][..., 0].tolist()
    title = panel.get_title().splitlines()
    assert title[:2] == ["cat, loss 4.00", "predicted: dog"]
    assert title[2].endswith("a/1.png")
    assert len(title[2]) == 36


@pytest.mark.parametrize(("channels", "shape"), [(1, (1, 1)), (3, (1, 1, 3))])
def test_an_image_of_one_pixel_is_shown(tmp_path, drawn, channels, shape):
    result = {"split": "test"} | {
        "top_losses": [{"image": "a.png", "label": "cat", "predicted": "dog", "loss": 1.0}]
    }
    images = [np.zeros((1, 1, channels), np.uint8)]
    report_pictures.draw_top_losses(result, images, tmp_path / "x.png")
    assert drawn[0].axes[0].images[0].get_array().shape == shape


def test_a_picture_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    rows = rows_file(tmp_path, [0.9, 0.5])
    with pytest.raises(UserError, match=r"the picture could not be written to .*x.foo"):
        report_pictures.draw_curves(rows, tmp_path / "x.foo")
    report_pictures.draw_curves(rows, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[1] > 300
    assert not plt.get_fignums()


def test_a_row_that_is_cut_is_left_out_and_said(tmp_path, capsys):
    """By a full disk, or by hand: each restart of a finished run would end in a traceback."""
    path = tmp_path / "metrics.jsonl"
    row = json.dumps({"step": 10, "epoch": 1.0, "train/loss": 0.5})
    path.write_bytes("\n".join([row, row[:20], "[1]", '{"a": 1}', "\xff", row, row[:9]]).encode())
    assert [r["step"] for r in report_pictures.read_rows(path)] == [10, 10]
    assert capsys.readouterr().err == f"warning: {path} has 5 damaged rows, line 2 first\n"
