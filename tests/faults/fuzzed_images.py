"""Image files as nobody should have them: (random numbers) -> (content, what must become of it).

What must become: "bad", refused with a reason; "whole", the pixels that Pillow sees; "either", one
of both; "any", where a bit of a JPEG flips to other pixels: no decoder sees that, a hash does.
"""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.folders import encoded, picture

MAX_PIXELS = 50_000_000
Fuzzed = tuple[str, bytes, str]  # suffix, content, what must become of it
FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def small(choose: random.Random) -> np.ndarray:
    return picture(choose.randrange(10**6), choose.randint(9, 60), choose.randint(9, 60))


def some(choose: random.Random) -> tuple[str, bytes]:
    kind = choose.choice([*FORMATS])
    return FORMATS[kind], encoded(small(choose), kind)


def flipped(choose: random.Random) -> Fuzzed:
    suffix, content = some(choose)
    data = bytearray(content)
    for _ in range(choose.randint(1, 20)):
        bit = choose.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
    return suffix, bytes(data), "any"


def truncated(choose: random.Random) -> Fuzzed:
    """Cut among its last bytes it may still hold every pixel."""
    suffix, content = some(choose)
    cut = choose.randrange(1, len(content))
    return suffix, content[:cut], "bad" if cut < len(content) // 2 else "either"


def without_head(choose: random.Random) -> Fuzzed:
    suffix, content = some(choose)
    return suffix, choose.randbytes(choose.randint(4, 16)) + content[16:], "bad"


def noise(choose: random.Random) -> Fuzzed:
    head = choose.choice([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x01\x00\x00WEBP"])
    return (
        choose.choice([*FORMATS.values()]),
        head + choose.randbytes(choose.randrange(3000)),
        "bad",
    )


def nothing(choose: random.Random) -> Fuzzed:
    return (
        choose.choice([*FORMATS.values()]),
        bytes(choose.choice([0, 0, 1, 1000, 20 << 20])),
        "bad",
    )


def wrong_type(choose: random.Random) -> Fuzzed:
    texts = [b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04" + bytes(99), b"%PDF-1.7\n"]
    others = [encoded(small(choose), kind) for kind in ("GIF", "BMP", "TIFF", "PPM")]
    return choose.choice([*FORMATS.values()]), choose.choice([*texts, *others]), "bad"


def wrong_suffix(choose: random.Random) -> Fuzzed:
    return choose.choice([*FORMATS.values()]), some(choose)[1], "whole"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, colours: int = 2, *before: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *before, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def declared_huge(choose: random.Random) -> Fuzzed:
    """A header that claims up to 2^31 - 1 pixels a side, over a few bytes."""
    side = choose.choice([8_000, 16_383, 60_000])
    wide, high = side, choose.randint(7_000, side)
    kind = choose.choice([*FORMATS])
    if kind == "PNG":
        claim = choose.choice([(wide, high), (2**31 - 1, 2**31 - 1)])
        return ".png", png(*claim, zlib.compress(bytes(999))), "bad"
    if kind == "WEBP":
        body = bytearray(encoded(small(choose), "WEBP"))
        wide, high = min(wide, 16_383), min(high, 16_383)
        body[26:30] = struct.pack("<HH", wide, high)
        return ".webp", bytes(body), "bad"
    body = bytearray(encoded(small(choose)))
    at = next(i for i in range(len(body)) if body[i : i + 2] == b"\xff\xc0")
    body[at + 5 : at + 9] = struct.pack(">HH", high, wide)
    return ".jpg", bytes(body), "bad"


def zeros(height: int, width: int, values: int) -> bytes:
    """The rows of a PNG of one colour, compressed a thousandfold."""
    deflate, row = zlib.compressobj(1), bytes(1 + width * values)
    return b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()


LARGEST = [
    png(7_070, 7_070, zeros(7_070, 7_070, values), colours) for colours, values in ((2, 3), (6, 4))
]


def bomb(choose: random.Random) -> Fuzzed:
    """As large as is allowed, of a hundred kilobytes; or larger, with all its pixels."""
    if choose.random() < 0.5:
        return ".png", choose.choice(LARGEST), "whole"
    return ".png", png(7_100, 7_100, zeros(7_100, 7_100, 3)), "bad"


def text_bomb(choose: random.Random) -> Fuzzed:
    """Words and a colour profile of a gigabyte each."""
    huge = zlib.compress(bytes(choose.choice([1 << 20, 200 << 20])), 9)
    before = choose.choice([chunk(b"zTXt", b"a\0\0" + huge), chunk(b"iCCP", b"a\0\0" + huge)])
    return ".png", png(8, 8, zeros(8, 8, 3), 2, before), "either"


def odd(choose: random.Random) -> Fuzzed:
    """Kinds that are rare and right."""
    image = Image.fromarray(small(choose))
    stream, kind = io.BytesIO(), choose.choice(["cmyk", "16", "LA", "P", "1", "exif", "animated"])
    if kind == "cmyk":
        image.convert("CMYK").save(stream, "JPEG", quality=95)
    elif kind == "16":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(stream, "PNG")
    elif kind == "exif":
        image.save(stream, "JPEG", quality=95, exif=b"Exif\0\0" + choose.randbytes(60))
    elif kind == "animated":
        frames = [Image.fromarray(small(choose)).resize(image.size) for _ in range(3)]
        form = choose.choice(["WEBP", "PNG"])
        image.save(stream, form, save_all=True, append_images=frames, lossless=True)
        return FORMATS[form], stream.getvalue(), "whole"
    else:
        image.convert(kind).save(stream, "PNG")
    return ".jpg" if kind in ("cmyk", "exif") else ".png", stream.getvalue(), "whole"


KINDS = (
    *(flipped, flipped, truncated, truncated, without_head, noise, nothing, wrong_type),
    *(wrong_suffix, declared_huge, declared_huge, text_bomb, odd, odd, odd),
)
