"""One run in several processes."""

from __future__ import annotations

import os

from cnn_jax.errors import UserError


def join_processes() -> None:
    """`jax.distributed` as the cluster says, or these variables: JAX_COORDINATOR_ADDRESS
    (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0).
    """
    import jax

    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    set_names = [name for name in names if name in os.environ]
    if set_names and len(set_names) < len(names):
        raise UserError(f"--distributed: {set_names[0]} is set, so set all of {', '.join(names)}")
    if not set_names:
        jax.distributed.initialize()
        return
    address, count, index = (os.environ[name] for name in names)
    if not (count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise UserError(f"--distributed: JAX_PROCESS_ID={index} of JAX_NUM_PROCESSES={count}")
    jax.distributed.initialize(address, int(count), int(index))


def leave_processes() -> None:
    """Waits for the others to end too: process 0, to which they report, must be the last."""
    import jax

    jax.distributed.shutdown()
