"""The report page: whole without a network, safe with any name, and its figures are the run's."""

import html.parser
import json
import re

import numpy as np
import pytest

from cnn_jax.analysis.report_page import markup, sections, svg
from cnn_jax.analysis.report_page.page import make_page
from cnn_jax.analysis.report_page.run_folder import RunFolder, Weights, read_weights, wall_times
from cnn_jax.errors import UserError
from cnn_jax.runtime.config_files import load_config
from cnn_jax.tools import report
from cnn_jax.train import train_and_evaluate

EVIL = "<script>alert('x')</script>\"&\x1b[2J"


VOID = ("meta", "img")


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page; raises where tags do not close one another."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def written(folder, name="run", **changes):
    """A run's files with names of a stranger's, and no checkpoint."""
    place = folder / name
    place.mkdir()
    config = {"model.name": "lenet5", "data.name": f"folder:{EVIL}", "data.image_size": 32,
              "optimizer.name": "adam", "optimizer.learning_rate": 0.002, "batch_size": 64,
              "seed": 0, "name": EVIL} | changes  # fmt: skip
    (place / "config.json").write_text(json.dumps(config))
    rows = [
        {"step": s, "epoch": s / 10, "train/loss": 2 / s, "validation/loss": 3 / s,
         "train/accuracy": 0.5, "validation/accuracy": 0.4, "learning_rate": 0.1**s}
        for s in (1, 2, 3)
    ]  # fmt: skip
    rows.append({"step": 3, "epoch": 0.3, "gradient_norm": 2.0})
    lines = [json.dumps(row) for row in rows]
    (place / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 4, "epo')
    names = [EVIL, "cat"]
    row = {"precision": 0.5, "recall": 0.25, "f1-score": 1 / 3, "support": 4.0,
           "recall_interval": [0.05, 0.7]}  # fmt: skip
    found = {"split": "test", "protocol": EVIL, "dataset": EVIL, "examples": 8, "loss": 0.5,
             "accuracy": 0.625, "accuracy_interval": [0.31, 0.86], "step": 2,
             "classes": dict.fromkeys(names, row), "macro_average": row,
             "confusion_matrix": [[1, 3], [0, 4]],
             "top_losses": [{"image": f"{EVIL}.png", "label": EVIL, "predicted": "cat",
                             "loss": 584.0}]}  # fmt: skip
    (place / "report.json").write_text(json.dumps(found))
    (place / "environment.json").write_text(json.dumps({"command": ["x", EVIL], "cpus": 2}))
    stages = {EVIL: {"gradient": {"norm": 1.0, "weights": 2.0}}}
    (place / "flow.jsonl").write_text(json.dumps({"step": 2, "stages": stages}) + "\n")
    return place


def test_names_are_shown_and_not_obeyed(tmp_path):
    place = written(tmp_path)
    for folders in ([place], [place, written(tmp_path, "other", seed=1)]):
        size = report.write_report([*map(str, folders)], tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        assert size == len(page.encode())
        parsed = Page(page)
        assert "script" not in parsed.tags
        assert not any(key.startswith("on") for key, _ in parsed.attributes)
        assert "\x1b" not in page
        words = " ".join(parsed.words)
        assert words.count("<script>alert('x')</script>\"&\\x1b[2J") >= 15


def test_no_reference_leaves_the_page(tmp_path):
    page = make_page([RunFolder.read(str(written(tmp_path)))])
    links = [v for k, v in Page(page).attributes if k in ("src", "href", "srcset", "action")]
    assert all(link.startswith("data:image/png;base64,") for link in links)
    for word in ("http", "url(", "@import", "<link", "<iframe"):
        assert word not in page


def test_figures_are_those_of_the_run(tmp_path):
    words = Page(make_page([RunFolder.read(str(written(tmp_path)))])).words
    assert "62.50 %" in words
    assert any(w.endswith("95 % interval 31.0 to 86.0") for w in words)
    assert "epochs; the report is of epoch 0.2" in words
    assert "584" in words
    assert "5.0 to 70.0" in words  # of a class
    at = words.index("of its class")
    assert words[at + 1 : at + 5] == [EVIL.replace("\x1b", "\\x1b"), "cat", "3", "75.00 %"]


def test_damaged_files(tmp_path):
    """A log is shown as far as it is whole; of other files the line says which is damaged."""
    place = written(tmp_path)
    log, flow = place / "metrics.jsonl", place / "flow.jsonl"
    log.write_text('{"step": 1, "epoch": "x"}\n' + log.read_text().replace("0.4", "[0.4]", 1))
    flow.write_text(flow.read_text() + '[1]\n{"step": "x", "stages": 3}\n')
    run = RunFolder.read(str(place))
    assert [row["step"] for row in run.rows] == [2, 3]
    assert [row["step"] for row in run.flow] == [2]
    make_page([run])
    for name in ("report.json", "environment.json", "config.json"):
        whole = (place / name).read_text()
        for text in ("[1]", '{"a', '{"devices": 7, "model.name": 3, "data.name": "x"}'):
            (place / name).write_text(text)
            with pytest.raises(UserError, match=f"{name} cannot be read"):
                RunFolder.read(str(place))
        (place / name).write_text(whole)


def test_what_differs(tmp_path):
    one, other = written(tmp_path), written(tmp_path, "other", seed=7, **{"data.dir": "/b"})
    words = Page(make_page([RunFolder.read(str(one)), RunFolder.read(str(other))])).words
    at = words.index("What differs")
    assert words[at + 1 : at + 7] == ["key", "run", "other", "seed", "0", "7"]
    assert words[at + 7] == "Training"  # data.dir changes no figure
    same = [RunFolder.read(str(one))] * 2
    assert "The configs are the same." in Page(make_page(same)).words


@pytest.mark.heavy
@pytest.mark.draws
def test_a_real_run(tmp_path):
    config = load_config("lenet5")
    config.update({"epochs": 0.1, "devices": 1, "log_flow": 2, "eval_every_epochs": 0.05})
    train_and_evaluate(config, str(tmp_path / "lenet"))
    run = RunFolder.read(str(tmp_path / "lenet"))
    weights = read_weights(run)
    assert weights.kernels.shape == (5, 5, 1, 6)
    assert weights.parameters == 61_706
    (seconds,) = run.sessions
    assert 0 < seconds < 600
    assert run.reported_epoch in run.epochs
    page = make_page([run])
    parsed = Page(page)
    pictures = [v for k, v in parsed.attributes if k == "src"]
    assert len(pictures) == 2  # the largest losses, the filters
    assert len(page) - sum(map(len, pictures)) < 300_000
    for title in ("Training", "Largest losses", "Confusions", "By class", "Calibration",
                  "First-layer filters", "Gradient flow", "How it was made"):  # fmt: skip
        assert title in parsed.words


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^name the workdirs of the runs: cnn_jax report RUN"):
        report.write_report([], tmp_path / "page.html")
    with pytest.raises(UserError, match=r"^workdir='.*' holds no run: train first, or name"):
        report.write_report([str(tmp_path)], tmp_path / "page.html")
    place = written(tmp_path)
    with pytest.raises(UserError, match=r"^the page could not be written to .*/no/page.html"):
        report.write_report([str(place)], tmp_path / "no/page.html")
    (place / "report.json").write_text("[1")
    with pytest.raises(UserError, match=r"report.json cannot be read .*: remove it; this writes"):
        report.write_report([str(place)], tmp_path / "page.html")
    (place / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json cannot be read \(it has no key 'model.name'"):
        report.write_report([str(place)], tmp_path / "page.html")


def test_times_of_events(tmp_path):
    def record(time):
        event = b"\x09" + np.float64(time).tobytes() + b"rest"
        return np.uint64(len(event)).tobytes() + bytes(4) + event + bytes(4)

    path = tmp_path / "events.out.tfevents.1.2.vm"
    path.write_bytes(record(100.5) + record(103.0) + record(107.25) + record(200.0)[:15])
    assert wall_times(path) == [100.5, 103.0, 107.25]


def test_a_curve_is_where_its_values_are():
    """Ends at the corners of the axes; what is not finite is left out, and long lines thinned."""
    line = svg.Line("a", [0, 1, 2, 3], [1.0, float("nan"), None, 100.0])
    found = svg.line_chart([line], "x", "y", log=True)
    points = re.search(r'points="([^"]*)"', found)[1].split()
    xs, ys = np.array([p.split(",") for p in points], float).T
    np.testing.assert_allclose(xs, [svg.LEFT, svg.WIDTH - svg.RIGHT])
    height = svg.HEIGHT - svg.BOTTOM - svg.TOP
    np.testing.assert_allclose(ys[0] - ys[1], height / 1.1, atol=0.1)  # padded by 0.05 each
    assert svg.line_chart([svg.Line("a", [0], [None])], "x", "y") == ""
    long = svg.thinned([(float(i), 0.0) for i in range(10_000)])
    assert (len(long), long[0][0], long[-1][0]) == (svg.MOST_POINTS, 0, 9999)
    assert svg.ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1]
    assert svg.ticks(-2.1, 0.3) == [-2, -1, 0]
    assert svg.log_ticks(-3.2, 0.1) == [1e-3, 1e-2, 1e-1, 1]
    np.testing.assert_allclose(svg.log_ticks(-1.1, 0.1), [0.1, 0.2, 0.5, 1])
    np.testing.assert_allclose(svg.log_ticks(np.log10(1.4), np.log10(1.9)), [1.4, 1.6, 1.8])


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "0.5"), (12345.0, "12,345"), (2e-5, "2e-5"), (1.234e7, "1.23e7"), (0.0, "0"),
     (float("inf"), "not finite"), (0.98765, "0.9877")],
)  # fmt: skip
def test_numbers(value, words):
    assert markup.number(value) == words


def test_filters_are_drawn_where_they_are():
    """Grey is zero, the largest is white; more than three channels are their mean."""
    import base64
    import io

    from PIL import Image

    kernels = np.zeros((2, 2, 3, 2), np.float32)
    kernels[0, 1, :, 1] = 4.0
    page = sections.filters(Weights(kernels, 24))
    data = re.search(r"base64,([^\"]*)", page)[1]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
    times = sections.SHEET // 7
    assert pixels.shape == (4 * times, 7 * times, 3)
    sheet = pixels[::times, ::times, 0]
    assert sheet.tolist() == [
        [255] * 7,
        [255, 127, 127, 255, 127, 255, 255],
        [255, 127, 127, 255, 127, 127, 255],
        [255] * 7,
    ]
    assert sections.filters(Weights(None, 3)) == sections.filters(None) == ""
