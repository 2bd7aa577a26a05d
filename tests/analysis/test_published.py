"""The table of published figures: whole, consistent with the nets, and drawn without overlaps."""

import itertools

import matplotlib
import pytest

matplotlib.use("Agg")

from cnn_jax import models
from cnn_jax.analysis import chart, tables
from cnn_jax.analysis.published import published_figures
from cnn_jax.analysis.stages import summarize


def test_every_row_names_a_net_its_source_and_protocol():
    assert set(published_figures()) <= set(models.names())
    for row in published_figures().values():
        assert row.paper or row.crop_by
        assert bool(row.crop_by) == bool(row.crop_protocol) == (row.crop_top1 is not None)
        assert bool(row.paper_protocol) == bool(row.paper_top1 or row.paper_top5)
        for top1, top5 in ((row.crop_top1, row.crop_top5), (row.paper_top1, row.paper_top5)):
            assert top1 is None or 50 < top1 < (top5 or 100)


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
        "67", "8", "33", "1.20 MB",
    ]  # fmt: skip
    assert tables.layer_row(stage.layers[0]) == [
        "layer2_0/conv1", "28x28x128", "3x3", "2", "1", "", "73,728", "57,802,752",
        "51", "8", "25", "401.4 kB",
    ]  # fmt: skip
    assert tables.net_row("resnet18", summary, published_figures()["resnet18"])[2:5] == [
        "11,689,512", "4.4%", "1,814,073,344",
    ]  # fmt: skip


def test_aligned_text_keeps_columns():
    lines = tables.aligned(["net", "field"], [["a", "1"], ["longer", "1234"]])
    assert lines == ["net     field", "a           1", "longer   1234"]


def test_chart_labels_do_not_overlap(tmp_path, monkeypatch):
    """All points of the table, with sizes made up: no two names share a pixel."""
    boxes = []
    monkeypatch.setattr(chart, "place_labels", spy(chart.place_labels, boxes))
    points = [
        chart.ChartPoint(name, 3 * 10**8 + i * 10**9, 10**6 * (i + 1), row.crop_top1, row.crop_by)
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
