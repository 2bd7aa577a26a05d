"""Which evaluation is the best, and when a run stops early."""

import numpy as np
import pytest

from cnn_jax.training.run_progress import RunProgress


@pytest.mark.parametrize("bad", [(np.nan, -1.0), (0.9, np.nan), (np.inf, 0.0), (0.9, -np.inf)])
def test_what_is_not_finite_is_never_the_best(bad):
    """Neither as the first evaluation, which would then never be beaten, nor later."""
    progress = RunProgress()
    ranks = {1: bad, 2: (0.1, -2.0), 3: bad, 4: (0.1, -1.0), 5: bad}
    best = []
    for step, rank in ranks.items():
        progress.step = step
        progress.record_evaluation(rank, patience=0)
        best.append(progress.best_step)
    assert best == [-1, 2, 2, 4, 4]


def test_a_run_stops_after_as_many_evaluations_without_a_better_one():
    progress, stopped = RunProgress(), []
    for step, accuracy in enumerate((0.5, 0.4, 0.6, 0.6, 0.1, np.nan), 1):
        progress.step = step
        progress.record_evaluation((accuracy, 0.0), patience=2)
        stopped.append(progress.stopped)
    assert stopped == [False, False, False, False, True, True]
    progress.go_on(patience=4)
    assert not progress.stopped
