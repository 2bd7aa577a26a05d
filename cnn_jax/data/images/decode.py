"""One image file -> its pixels: upright, RGB, refused by its header when it is too large.

JPEG goes through simplejpeg (libjpeg-turbo, at the smallest DCT scale that serves), all else, and
what simplejpeg does not take (CMYK, files with oddities), through Pillow. What is transparent lies
on white, as pages show it: the colours that files keep under transparent pixels are nobody's.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
from jaxtyping import UInt8

PIXELS = 50_000_000  # the most that an image may have, unless the caller says otherwise
WEBP_PIXELS = 1_000_000  # over which Pillow, which makes room for all pixels, is not asked first
STRIP_PIXELS = 1_000_000  # that are converted at once, at two dozen bytes each
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp")
ORIENTATION = 0x0112  # the EXIF tag


class BadImageError(Exception):
    """A file that is no readable image; the message is the reason in few words."""

    def alone(self) -> BadImageError:
        """To be kept: without the traceback, whose frames hold the content of the file."""
        return BadImageError(str(self))


@dataclasses.dataclass(frozen=True)
class Header:
    """What can be known without decoding: size in pixels as stored, and whether simplejpeg can."""

    height: int
    width: int
    orientation: int  # EXIF's, 1 to 8; 1 is upright, and of a PNG not known yet
    is_simple: bool


def read_header(content: bytes, max_pixels: int = PIXELS) -> Header:
    """The header of an image file, checked; raises `BadImageError`."""
    if not content:
        raise BadImageError("zero bytes")
    size = webp_size(content)
    if size and size[0] * size[1] > WEBP_PIXELS:
        header = Header(*size, orientation=1, is_simple=False)
    else:
        header = jpeg_header(content) or pillow_header(content)
    pixels = header.height * header.width
    if pixels > max_pixels:
        raise BadImageError(
            f"{header.width}x{header.height} pixels, over data.max_pixels={max_pixels}"
        )
    return header


def decode(
    content: bytes,
    min_side: int = 0,
    max_pixels: int = PIXELS,
    out: UInt8[np.ndarray, "_h _w _c"] | None = None,
    header: Header | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels, upright; raises `BadImageError`.

    With `min_side`, a JPEG may come out at a fraction of its size, by n/8, with neither side under
    `min_side` pixels. Where the image has the very shape of `out`, uint8, it may be decoded into
    it, and then it is `out` that is returned. A `header` that was read is not read again.
    """
    import simplejpeg

    header = header or read_header(content, max_pixels)
    if header.is_simple:
        size = header.height, header.width
        whole = header.orientation == 1 and min_side >= min(size)
        try:
            if whole and out is not None and out.shape == (*size, 3):
                simplejpeg.decode_jpeg(content, "RGB", buffer=out)
                return out
            image = simplejpeg.decode_jpeg(content, "RGB", min_height=min_side, min_width=min_side)
            return upright(image, header.orientation)
        except ValueError:
            pass  # Pillow decides: it takes stray bytes, and says what is wrong with others
    return pillow_pixels(content, min_side)


def webp_size(content: bytes) -> tuple[int, int] | None:
    """(height, width) that a WebP claims; None for what is none, or damaged."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    number = int.from_bytes
    if content[12:16] == b"VP8X":
        return number(content[27:30], "little") + 1, number(content[24:27], "little") + 1
    if content[12:16] == b"VP8L":
        bits = number(content[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if content[12:16] == b"VP8 ":
        return number(content[28:30], "little") & 0x3FFF, number(content[26:28], "little") & 0x3FFF
    return None


def jpeg_header(content: bytes) -> Header | None:
    """The header by simplejpeg; None where Pillow must look."""
    import simplejpeg

    if content[:2] != b"\xff\xd8":
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    if colours not in ("YCbCr", "RGB", "Gray"):
        return None
    orientation = pillow_header(content).orientation if may_have_exif(content) else 1
    return Header(height, width, orientation, is_simple=True)


def may_have_exif(content: bytes) -> bool:
    """Whether an EXIF block stands before a JPEG's first scan, or its markers are out of order."""
    at = 2
    while content[at : at + 1] == b"\xff":
        marker = content[at + 1 : at + 2]
        if marker == b"\xda":
            return False
        if marker == b"\xe1" and content[at + 4 : at + 10] == b"Exif\0\0":
            return True
        at += 1 if marker == b"\xff" else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return True


def pillow_header(content: bytes) -> Header:
    image = pillow_open(content)
    # Pillow decodes a whole PNG to look for its EXIF, which may stand behind the pixels.
    orientation = 1 if image.format == "PNG" else exif_orientation(image)
    return Header(image.height, image.width, orientation, is_simple=False)


def exif_orientation(image: Any) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block, of which Pillow may raise anything, turns nothing
        return 1


def pillow_open(content: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # read_header refuses by its own, stricter cap
    try:
        return Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
    except UnidentifiedImageError:
        raise BadImageError("not a JPEG, PNG or WebP image") from None
    except Exception as error:  # Pillow's parsers raise many kinds for damaged headers
        raise BadImageError(f"damaged header: {error}") from error


def pillow_pixels(content: bytes, min_side: int) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels, upright; raises `BadImageError`."""
    image = pillow_open(content)
    if min_side and image.format == "JPEG":
        image.draft(None, (min_side, min_side))
    try:
        return upright(as_rgb(image), exif_orientation(image))
    except Exception as error:  # see above
        raise BadImageError(str(error)) from error


def as_rgb(image: Any) -> UInt8[np.ndarray, "h w 3"]:
    """A Pillow image of any mode; a large one some rows at a time, which changes no pixel."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    if rows >= height:
        return rows_as_rgb(image)
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        out[top:bottom] = rows_as_rgb(image.crop((0, top, width, bottom)))
    return out


def rows_as_rgb(image: Any) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I"):  # 16 bits a grey pixel
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = on_white(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def on_white(image: Any) -> Any:
    """An RGBA image before a white page; the same where all of it is opaque."""
    from PIL import Image

    if image.getextrema()[3][0] == 255:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def upright(image: UInt8[np.ndarray, "h w 3"], orientation: int) -> UInt8[np.ndarray, "_h _w 3"]:
    """Undoes the turn and the mirroring that EXIF's `orientation` stands for."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
