"""What the speed run says of its runs."""

import pytest

from experiments.speedrun import in_short, summary

RUNS = [{"accuracy": a, "seconds": s} for a, s in ((0.93, 60.0), (0.95, 10.0), (0.94, 12.0))]


def test_the_first_run_compiles_and_its_time_stands_apart():
    found = summary(RUNS, 0.94)
    assert (found["accuracy"], found["deviation"]) == pytest.approx((0.94, 0.01))
    assert (found["seconds"], found["first_seconds"]) == (11.0, 60.0)
    assert in_short(found) == (
        "94.00% ± 1.00% over 3 run(s), 11.0 s a run, 60.0 s with compilation: the claim holds"
    )


def test_a_mean_below_the_target_fails():
    assert summary(RUNS, 0.941)["verdict"] == "fails"
    assert summary(RUNS[:1], 0.93)["seconds"] is None
