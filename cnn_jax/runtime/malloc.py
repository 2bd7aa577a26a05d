"""Memory that has been used stays with the process, for what comes next.

XLA's CPU client takes one block for all temporary values of a step and gives it back afterwards.
glibc hands blocks of that size straight back to the system, so that every step pays for its pages
again: a tenth of ResNet-18's CPU time at 32 pixels, more than half of EfficientNet-B0's. Where
there is a C++ compiler, `ops/cpu_kernels/kept_blocks.h` keeps these; what follows is for the host's
arrays, and for XLA's where there is none.

Where there is an accelerator nothing is asked for: steps hold their values on the device, and its
programs are compiled by many threads, which one arena seems to hold up. On an H100 with 16 cores
ResNet-50's step was compiled in 20 s, and with this not in 110.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

# The parameters of mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
LARGEST = 2**31 - 1  # mallopt takes an int
# What a driver puts there: NVIDIA's, that of Windows for Linux, AMD's, a TPU's of two kinds.
DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")


def accelerator_in_sight() -> bool:
    """Whether JAX may find one. JAX itself cannot be asked: it would start its threads."""
    if platforms := os.environ.get("JAX_PLATFORMS"):
        return platforms != "cpu"
    return any(map(os.path.exists, DEVICES))


def retain_freed_memory() -> bool:
    """Asks glibc to keep what is freed; to be called before there are threads.

    False where nothing was changed: beside an accelerator, or with another C library.
    """
    if accelerator_in_sight():
        return False
    try:
        libc = ctypes.CDLL(None)
        version, mallopt = libc.gnu_get_libc_version, libc.mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that has a name
        return False
    version.restype = ctypes.c_char_p
    wanted = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST}
    return bool(version()) and all(mallopt(name, value) for name, value in wanted.items())


def give_freed_memory_back() -> None:
    """Asks glibc for the opposite, once: after something large that will not come again soon.

    A block that is kept and then cut up for smaller ones leaves no room for the next large one, and
    the heap grows by one more.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
