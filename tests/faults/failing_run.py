"""A training command whose disk is full from the n-th write below its checkpoints on.

    python -m tests.faults.failing_run N FOLDER --config=... --workdir=FOLDER

Started with the library of `write_faults`.
"""

import errno
import sys
from pathlib import Path

from cnn_jax import cli, main
from tests.faults.write_faults import Faults

if __name__ == "__main__":
    at, folder = int(sys.argv.pop(1)), Path(sys.argv.pop(1))
    Faults().arm(folder / "checkpoints", at, errno.ENOSPC, lasting=True)
    cli.run(main.main)
