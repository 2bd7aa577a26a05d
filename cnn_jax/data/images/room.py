"""How much memory images may take on their way from file to net, whatever the number of threads.

A file of 100 kB can be 50 megapixels, of some 7 bytes on their way, and there are many threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from cnn_jax.data.images.decode import PIXELS, Header, read_header
from cnn_jax.runtime.malloc import give_freed_memory_back

LARGE_PIXELS = 16_000_000  # over which one at a time
LARGE_BYTES = 16 << 20  # of a file; so are larger ones, before their header is known
KEPT_PIXELS = 4_000_000  # over which the memory of one is given back to the system
DCT_SIZES = 8  # a JPEG comes out at n/8 of its size


class Room:
    """Pixels that are decoded at once; who comes later waits."""

    def __init__(self, pixels: int):
        self.pixels, self.taken = pixels, 0
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """What is larger than the whole room has it alone."""
        pixels = min(pixels, self.pixels)
        with self.changed:
            self.changed.wait_for(lambda: self.taken + pixels <= self.pixels)
            self.taken += pixels
        try:
            yield
        finally:
            with self.changed:
                self.taken -= pixels
                self.changed.notify_all()


ROOM = Room(PIXELS)


def decoded_pixels(header: Header, min_side: int) -> int:
    """How many come out; of a JPEG as small as it goes."""
    pixels = header.height * header.width
    least = min(header.height, header.width)
    if not header.is_simple or min_side < 1:
        return pixels
    eighths = min(DCT_SIZES, -(-DCT_SIZES * min_side // least))
    return pixels * eighths**2 // DCT_SIZES**2


@contextlib.contextmanager
def hold_room(header: Header, min_side: int) -> Iterator[None]:
    """For an image that is decoded within, and made small."""
    pixels = decoded_pixels(header, min_side)
    alone = header.height * header.width > LARGE_PIXELS  # a progressive JPEG is held whole
    with ROOM.hold(ROOM.pixels if alone else pixels):
        yield
        if pixels > KEPT_PIXELS:
            give_freed_memory_back()


@contextlib.contextmanager
def in_room(
    read: Callable[[int], bytes], max_pixels: int, min_side: int
) -> Iterator[tuple[bytes, Header]]:
    """The content and the header of a file that is to be decoded within.

    `read(max_bytes)` gives its first bytes, or with -1 all. Raises `BadImageError`.
    """
    content = read(LARGE_BYTES + 1)
    if len(content) <= LARGE_BYTES:
        header = read_header(content, max_pixels)
        with hold_room(header, min_side):
            yield content, header
        return
    del content
    with ROOM.hold(ROOM.pixels):
        content = read(-1)
        yield content, read_header(content, max_pixels)
        del content
        give_freed_memory_back()
