"""A streamed run that is stopped in the middle of an epoch sees what remains of it, once."""

import json
import re
import signal

import numpy as np
import pytest

from cnn_jax import data
from configs.base import base
from tests.faults.kill_many import finish
from tests.support import commands
from tests.support.folders import make

BATCH, STOP = 8, 7

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("processes", [1, 2])
def test_each_remaining_example_comes_once(tmp_path, processes, workers):
    root, log = make(tmp_path / "images", {"a": 25, "b": 22}), tmp_path / "log"
    log.mkdir()
    words = [f"--config=tests/support/logging_config.py:{root},{workers},{log}"]
    words += [f"--workdir={tmp_path / 'run'}"]
    start = lambda: commands.together(words) if processes == 2 else [commands.start(*words)]  # noqa: E731
    (log / "stop").write_text(str(STOP))
    stopped = start()
    assert {command.wait() for command in stopped} == {128 + signal.SIGTERM}
    step = int(re.search(r"stopped by SIGTERM at step (\d+)", stopped[0].out)[1])
    before = [read(log / f"{index}.jsonl") for index in range(processes)]
    (log / "stop").unlink()
    resumed = [finish(command) for command in start()]
    assert f"going on from step {step} in" in resumed[0].out
    after = [read(log / f"{i}.jsonl")[len(b) :] for i, b in enumerate(before)]

    ids = data.load(base("test", f"folder:{root}", image_size=16).data).train.ids
    epochs = 4
    steps = [[step for step, _ in part] for part in (*before, *after)]
    assert steps[:processes] == [list(range(step))] * processes
    assert steps[processes:] == [list(range(step, -(-epochs * len(ids) // BATCH)))] * processes
    assert step * BATCH % len(ids), "stopped at the end of an epoch, not within"
    whole = [[*b, *a] for b, a in zip(before, after, strict=True)]
    seen = np.concatenate([rows for same in zip(*whole, strict=True) for _, rows in same])
    for epoch in range(epochs):
        assert sorted(seen[epoch * len(ids) :][: len(ids)]) == sorted(ids)


def read(path):
    """[(step, ids)] of one process."""
    return [json.loads(line) for line in path.read_text().splitlines()]
