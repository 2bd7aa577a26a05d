"""A write that fails, whichever it is, ends a save in a line and leaves the older ones whole."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.faults import write_faults

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="LD_PRELOAD, cc"),
]


@pytest.mark.parametrize(("what", "every"), [("save", 11), ("run", 60)])
def test_a_part_of_all_calls(what, every):
    words = [sys.executable, "-m", "tests.faults.write_faults", f"--every={every}"]
    own = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([*words, f"--what={what}"], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"calls of a {what}" in done.stdout
    assert "a line" in done.stdout or "status 2" in done.stdout


def test_a_full_disk_ends_the_command(tmp_path):
    """At the fifth call Orbax's folder is not made: its threads wait for it for five minutes."""
    library = write_faults.build(str(tmp_path))
    own = {**os.environ, "JAX_PLATFORMS": "cpu", write_faults.LIBRARY: library}
    words = [sys.executable, "-m", "tests.faults.failing_run", "5", str(tmp_path / "run")]
    keys = ["--config=tests/support/tiny_config.py", "--config.epochs=1"]
    done = subprocess.run(
        [*words, *keys, f"--workdir={tmp_path / 'run'}"],
        env={**own, "LD_PRELOAD": library},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: the checkpoint of step 4 could not be written")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
