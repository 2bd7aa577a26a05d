"""Parts of the report page, each by values worked by hand."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.analysis.report_page import comparison, markup, predictions, sections, svg
from cnn_jax.analysis.report_page.run_folder import RunFolder, session_seconds

WIDTH, HEIGHT = svg.WIDTH - svg.LEFT - svg.RIGHT, svg.HEIGHT - svg.BOTTOM - svg.TOP


def run_of(name="run", **parts):
    empty = {"rows": [], "steps": [], "report": {}, "environment": {}, "flow": [], "sessions": []}
    config = {"model.name": "lenet5", "data.name": "mnist"}
    return RunFolder(**{"folder": Path(name), "name": name, "config": config, **empty, **parts})


def cells(page):
    return re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)


def points(page):
    """[n, 2] of each curve."""
    found = re.findall(r'points="([^"]*)"', page)
    return [np.array([p.split(",") for p in own.split()], float) for own in found]


def test_bars_stand_on_the_axis():
    page = svg.bar_chart([0.25, float("nan"), 1.0], [0, 1 / 3, 2 / 3, 1], "x", "y")
    pattern = r'<rect class="bar" x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"'
    expected = [
        [svg.LEFT, svg.TOP + 0.75 * HEIGHT, WIDTH / 3 - 1, HEIGHT / 4],
        [svg.LEFT + 2 / 3 * WIDTH, svg.TOP, WIDTH / 3 - 1, HEIGHT],
    ]
    found = np.array(re.findall(pattern, page), float)
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_a_mark_and_the_words_of_a_curve():
    line = svg.Line("a", [0, 4], [1.0, 200.0])
    page = svg.line_chart([line], "x", "y", log=True, mark=1)
    assert f'<line class="mark" x1="{svg.LEFT + WIDTH / 4:.1f}"' in page
    assert "<title>a: 200 at the end</title>" in page
    rates = [{"epoch": e, "step": e, "learning_rate": 0.1**e} for e in (1, 2, 3)]
    (wide,) = points(sections.rate_chart([run_of(rows=rates)]))
    np.testing.assert_allclose(np.diff(wide[:, 1]), HEIGHT / 1.1 / 2, atol=0.11)
    rates = [row | {"learning_rate": row["step"] ** 2.0} for row in rates[:2]]
    near = [*rates, {"epoch": 3, "step": 3, "learning_rate": 3.0}]
    (plain,) = points(sections.rate_chart([run_of(rows=near)]))
    np.testing.assert_allclose(np.diff(plain[:, 1]), [-HEIGHT / 1.1, HEIGHT / 1.1 / 3], atol=0.11)


def test_confusions_of_few_and_of_many_classes():
    few = {"classes": {"a": {}, "b": {}}, "confusion_matrix": [[1, 3], [2, 2]]}
    page = predictions.confusion(run_of(report=few))
    kinds = re.findall(r'<td class="(\w+)" style="--s:([\d.]+)"[^>]*>(\d*)', page)
    assert kinds == [("hit", "0.250", "1"), ("miss", "0.750", "3"),
                     ("miss", "0.500", "2"), ("hit", "0.500", "2")]  # fmt: skip
    assert cells(page)[-8:] == ["a", "b", "3", "75.00 %", "b", "a", "2", "50.00 %"]
    matrix = 4 * np.eye(21, dtype=int)
    matrix[2, :4] = [1, 0, 1, 2]
    many = {"classes": {str(i): {} for i in range(21)}, "confusion_matrix": matrix.tolist()}
    page = predictions.confusion(run_of(report=many))
    data = re.search(r"base64,([^\"]*)", page)[1]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
    assert pixels[:4, :4].tolist() == [
        [0, 255, 255, 255], [255, 0, 255, 255], [127, 255, 127, 74], [255, 255, 255, 0]
    ]  # fmt: skip
    assert cells(page)[-8:] == ["2", "3", "2", "50.00 %", "2", "0", "1", "25.00 %"]


def test_the_worst_class_is_first_and_one_without_examples_last():
    row = {"precision": 0.25, "f1-score": 0.5, "support": 4.0}
    classes = {"good": row | {"recall": 0.75}, "bad": row | {"recall": 0.5},
               "absent": row | {"recall": 0.0, "support": 0.0}}  # fmt: skip
    page = predictions.classes(run_of(report={"classes": classes}))
    assert cells(page)[6:] == [
        "bad", "50.0", "", "25.0", "50.0", "4", "good", "75.0", "", "25.0", "50.0", "4",
        "absent", "", "", "", "", "0",
    ]  # fmt: skip


def test_the_flow_of_gradients_is_over_weights_and_units():
    stage = {"gradient": {"norm": 3.0, "weights": 2.0}, "activation": {"dead": 1, "units": 8}}
    stage["activation"]["std"] = 0.7
    page = sections.flow(run_of(flow=[{"step": 1, "stages": {"c1": stage}}]))
    words = re.findall(r"<title>c1: ([\d.]+) at the end</title>", page)
    assert words == ["3", "1.5", "0.7", "0.125"]


def test_calibration_has_the_bins_that_are_filled_and_shares_of_the_examples():
    bins = [
        {"low": 0.0, "high": 0.5, "accuracy": 0.0, "examples": 0},
        {"low": 0.5, "high": 1.0, "accuracy": 0.75, "examples": 8},
    ]
    found = {"bins": bins, "ece": 0.1, "nll": 0.2, "brier": 0.3, "risk_area": 0.4}
    found["coverage"] = [{"examples": n, "risk": n / 32} for n in (2, 8)]
    page = sections.calibration(run_of(report={"calibration": found, "examples": 8}))
    assert page.count('<rect class="bar"') == 1
    assert "<title>0.5 to 1: 0.75</title>" in page
    assert re.findall(r">(0\.\d+|\d)</text>", page.rpartition("<figure>")[2])[-4:] == [
        "0.4", "0.6", "0.8", "1"
    ]  # fmt: skip
    assert cells(page)[2:] == ["calibration error", "0.1", "log loss", "0.2", "Brier score", "0.3",
                               "mean risk over coverages", "0.4"]  # fmt: skip


def test_the_watched_split_and_the_epoch_of_the_report():
    rows = [{"step": s, "epoch": s / 4, "train/loss": 4.0, "test/loss": 2.0} for s in (1, 3)]
    run = run_of(rows=rows, report={"step": 3})
    assert (run.watched, run.reported_epoch) == ("test", 0.75)
    assert run_of(rows=rows, report={"step": 2}).reported_epoch is None
    words = re.findall(r"<title>(\w+: \d) at the end</title>", sections.curves([run]))
    assert words == ["train: 4", "test: 2"]


def test_sessions_are_in_the_order_of_their_starts(tmp_path):
    for name, times in (("b", (10.0, 17.0)), ("a", (30.0, 31.0, 35.0))):
        events = b""
        for time in times:
            event = b"\x09" + np.float64(time).tobytes()
            events += np.uint64(len(event)).tobytes() + bytes(4) + event + bytes(4)
        (tmp_path / f"events.out.tfevents.{name}").write_bytes(events)
    (tmp_path / "events.out.tfevents.empty").write_bytes(b"")
    assert session_seconds(tmp_path) == [7.0, 5.0]


def test_starts_add_up_and_hours_have_sixty_minutes():
    page = sections.headline(run_of(sessions=[60.0, 30.4]), None)
    assert "<b>1 min 30 s</b><span>of training, in 2 starts</span>" in page
    words = [markup.duration(seconds) for seconds in (0.4, 59.6, 3599, 3 * 3600 + 119)]
    assert words == ["0 s", "1 min 0 s", "59 min 59 s", "3 h 1 min"]


@pytest.mark.parametrize("other", ["b", "c"])
def test_runs_side_by_side(other):
    def report(name, recall):
        row = {"precision": 0.125, "recall": recall}
        return {"split": "test", "protocol": "p", "examples": 8, "accuracy": 0.625,
                "accuracy_interval": [0.25, 0.875], "loss": 0.5,
                "classes": {"a": row, name: row}}  # fmt: skip

    runs = [run_of("one", report=report("b", 0.5)), run_of("two", report=report(other, 0.75))]
    shown = cells(comparison.side_by_side(runs))
    at = shown.index("accuracy")
    assert shown[at + 1 : at + 3] == ["62.50 % (25.00 to 87.50)"] * 2
    recall = cells(comparison.recall_by_class(runs))
    assert recall[3:] == (["a", "50.0", "75.0", "b", "50.0", "75.0"] if other == "b" else [])
