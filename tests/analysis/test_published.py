"""The table of published figures: whole, consistent with the nets, and drawn without overlaps."""

import csv
import itertools
import re

import matplotlib
import pytest

matplotlib.use("Agg")

from cnn_jax import models
from cnn_jax.analysis import chart, tables
from cnn_jax.analysis.published import WHOLE_VAL, published_figures
from cnn_jax.analysis.stages import summarize
from tests.support.commands import ROOT

COUNTS = ROOT / "tests/models/counts"


def test_every_row_names_a_net_its_source_and_protocol():
    assert set(published_figures()) <= set(models.names())
    for row in published_figures().values():
        assert row.paper or row.crop_by
        assert bool(row.crop_by) == bool(row.crop_protocol) == (row.crop_top1 is not None)
        assert bool(row.paper_protocol) == bool(row.paper_top1 or row.paper_top5)
        assert row.population.split(",", 1)[1].strip()[:2].isdigit() or "48,238" in row.population
        for top1, top5 in ((row.crop_top1, row.crop_top5), (row.paper_top1, row.paper_top5)):
            assert top1 is None or 50 < top1 < (top5 or 100)


def counts():
    """Name -> its row in the tests' tables of counts, without options."""
    for path in sorted(COUNTS.glob("*.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            if not row["options"]:
                yield row["name"], row


def test_only_the_authors_own_figures_of_this_very_net_are_filled():
    """What the paper prints of its size is the size of our net, or the row says of which net."""
    ours, compared = dict(counts()), 0
    for name, row in published_figures().items():
        for printed, key in ((row.paper_parameters, "params"), (row.paper_multiply_adds, "macs")):
            match = re.match(r"([\d.]+) ([MG])\b", printed)
            if match and name in ours and ours[name][key]:
                value = float(match[1]) * {"M": 1e6, "G": 1e9}[match[2]]
                close = value == pytest.approx(int(ours[name][key]), rel=0.15)
                assert close != bool(row.paper_net and key == "params"), (name, printed)
                compared += 1
    assert compared > 40
    own = {name for name, row in published_figures().items() if row.crop_is_own}
    assert {"resnet50", "seresnet50", "inception_v3"} <= own
    assert not own & {"alexnet", "bn_inception", "vgg16", "googlenet"}


@pytest.mark.heavy
def test_figures_of_a_part_of_the_images_say_so():
    rows = published_figures()
    part = {n for n, r in rows.items() if r.crop_top1 and r.population != WHOLE_VAL}
    assert part == {"inception_v3", "inception_v4"}
    assert "48,238 that are not blacklisted" in rows["inception_v4"].population
    summary = summarize(models.create("bn_inception"), (224, 224, 3))
    assert tables.net_row("bn_inception", summary, rows["bn_inception"])[-1] == (
        "authors, one crop; of BN-x30 of 13.6 M parameters, not the port's 11.3 M"
    )


@pytest.mark.parametrize(
    "name", ["alexnet", "resnext50_32x4d", "mobilenet_v1_025", "mobilenet_v2", "efficientnet_b0"]
)
def test_printed_sizes_are_ours_rounded(name):
    summary = summarize(models.create(name), models.REGISTRY[name].input_shape)
    row = published_figures()[name]
    for printed, count, unit in (
        (row.paper_parameters, summary.parameters, {"M": 1e6}),
        (row.paper_multiply_adds, summary.multiply_adds, {"G": 1e9}),
    ):
        if printed:
            number, scale = printed.split()[:2]
            assert float(number) * unit[scale] == pytest.approx(count, rel=0.07)


def test_totals_show_the_papers_figures_beside_ours():
    summary = summarize(models.create("alexnet"), (227, 227, 3))
    text = "\n".join(tables.totals(summary, published_figures()["alexnet"]))
    assert "60,965,224   paper: 60 M" in text
    assert "58,631,144 (96.2%)" in text
    assert "195 pixels, jump 32, padding 64   Araujo 2019: 195" in text
    assert "top-1 59.30 %, top-5 81.80 % (Krizhevsky 2012" in text
    assert "paper" not in "\n".join(tables.totals(summary, None))


def test_rows_of_a_stage_a_layer_and_a_net():
    summary = summarize(models.create("resnet18"), (224, 224, 3))
    stage = next(s for s in summary.stages if s.name == "layer2_0")
    assert tables.stage_row(stage) == [
        "layer2_0", "28x28x128", "3x3 1x1", "2", "230,144", "179,830,784",
        "67", "8", "31", "1.20 MB",
    ]  # fmt: skip
    assert tables.layer_row(stage.layers[0]) == [
        "layer2_0/conv1", "28x28x128", "3x3", "2", "1", "", "73,728", "57,802,752",
        "51", "8", "23", "401.4 kB",
    ]  # fmt: skip
    assert tables.net_row("resnet18", summary, published_figures()["resnet18"])[2:5] == [
        "11,689,512", "4.4%", "1,814,073,344",
    ]  # fmt: skip


def test_aligned_text_keeps_columns():
    lines = tables.aligned(["net", "field"], [["a", "1"], ["longer", "1234"]])
    assert lines == ["net     field", "a           1", "longer   1234"]


@pytest.mark.heavy
def test_chart_labels_do_not_overlap(tmp_path, monkeypatch):
    """All points of the table, with sizes made up: no two names share a pixel."""
    boxes = []
    monkeypatch.setattr(chart, "place_labels", spy(chart.place_labels, boxes))
    points = [
        chart.ChartPoint(
            name, 3 * 10**8 + i * 10**9, 10**6 * (i + 1), row.crop_top1, row.crop_is_own
        )
        for i, (name, row) in enumerate(published_figures().items())
        if row.crop_top1
    ]
    chart.draw_chart(points, tmp_path / "nets.png")
    assert (tmp_path / "nets.png").read_bytes()[:4] == b"\x89PNG"
    assert len(boxes) == len(points) > 40
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def spy(place, boxes):
    def placed(axes, points):
        place(axes, points)
        renderer = axes.figure.canvas.get_renderer()
        boxes.extend(text.get_window_extent(renderer) for text in axes.texts)

    return placed
