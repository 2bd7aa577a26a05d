"""What becomes an array of a device shares no memory with the host, and is gone from it."""

import weakref

import jax
import numpy as np
import pytest

from cnn_jax.runtime.moves import LARGE, moved


@pytest.mark.parametrize("begins", [0, 4])  # bytes behind a multiple of 64, where JAX shares memory
def test_what_is_moved_to_a_device_is_gone_from_the_host(begins):
    held = []

    def array():
        room = np.empty(4 * LARGE + 64, np.uint8)
        start = -room.ctypes.data % 64 + begins
        numbers = room[start : start + 4 * LARGE].view(np.float32)
        numbers[:] = 7
        held.append(weakref.ref(room))
        return {"numbers": numbers, "step": np.int32(3)}

    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    copies = moved(array(), {"numbers": place, "step": place})
    assert held[0]() is None
    assert (np.asarray(copies["numbers"]) == 7).all()
    assert copies["step"] == 3
