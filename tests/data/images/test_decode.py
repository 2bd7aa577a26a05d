"""Every kind of image file reads right, and what is none is refused with a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from cnn_jax.data.images import decode as decode_module
from cnn_jax.data.images.decode import BadImageError, decode, read_header
from tests.support.folders import encoded, picture

RGB = picture(0)
GREY = np.asarray(Image.fromarray(RGB).convert("L"))

OTHER_FORMATS = ("GIF", "BMP", "TIFF", "ICO", "PPM")  # which Pillow opens, if it is let


def assert_close(found, wanted, levels):
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).mean() <= levels


def test_jpeg_equals_pillow():
    content = encoded(RGB)
    assert_close(decode(content), np.asarray(Image.open(io.BytesIO(content))), 0.5)


@pytest.mark.parametrize(
    ("pixels", "kind", "levels"),
    [
        (GREY, "JPEG", 2),
        (GREY, "PNG", 0),
        (RGB, "PNG", 0),
        (RGB, "WEBP", 6),
        (Image.fromarray(RGB).convert("CMYK"), "JPEG", 8),
        (Image.fromarray(RGB).quantize(256), "PNG", 0),
        (Image.fromarray(RGB).convert("RGBA"), "PNG", 0),
        (Image.fromarray(RGB).convert("LA"), "PNG", 0),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "PNG", 0),
    ],
    ids=["grey jpeg", "grey png", "png", "webp", "cmyk", "palette", "rgba", "la", "16 bits"],
)
def test_kinds_of_files_read_as_rgb(pixels, kind, levels):
    options = {"lossless": True} if kind == "WEBP" else {}
    grey = np.ndim(pixels) == 2 or getattr(pixels, "mode", "") in ("LA", "I;16")
    wanted = np.repeat(GREY[..., None], 3, -1) if grey else RGB
    if getattr(pixels, "mode", "") == "P":
        wanted = np.asarray(pixels.convert("RGB"))
    assert_close(decode(encoded(pixels, kind, **options)), wanted, levels)


def with_alpha(kind):
    """A file of one colour under four degrees of opacity, and what Pillow pastes on white."""
    alpha = np.repeat(np.uint8([0, 85, 170, 255]), 10)[None].repeat(40, 0)
    image = Image.fromarray(np.dstack([np.full((40, 40, 3), (200, 30, 90), np.uint8), alpha]))
    options = {}
    if kind == "LA":
        image = Image.merge("LA", [image.convert("RGB").convert("L"), image.getchannel("A")])
    elif kind == "P":
        image, options = Image.fromarray(alpha // 85).convert("P"), {"transparency": b"\0\x80"}
        image.putpalette([200, 30, 90, 10, 20, 30, 40, 50, 60, 70, 80, 90])
        image.info["transparency"] = b"\0\x80"
    elif kind == "RGB":  # one colour stands for nothing
        image, options = Image.fromarray(RGB), {"transparency": tuple(map(int, RGB[3, 4]))}
        image.info.update(options)
    page = Image.new("RGB", image.size, "white")
    page.paste(image.convert("RGBA"), mask=image.convert("RGBA").getchannel("A"))
    return image, options, np.asarray(page)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_lies_on_white(kind):
    image, options, wanted = with_alpha(kind)
    found = decode(encoded(image, "PNG", **options))
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert (wanted != np.asarray(image.convert("RGBA").convert("RGB"))).any()
    if kind != "RGB":
        assert (found[:, :10] == 255).all()


def test_an_image_that_is_opaque_keeps_its_bits():
    for pixels in (Image.fromarray(RGB).convert("RGBA"), Image.fromarray(GREY).convert("LA")):
        wanted = np.asarray(pixels.convert("RGB"))
        np.testing.assert_array_equal(decode(encoded(pixels, "PNG")), wanted)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_turns_are_undone(kind, orientation):
    """As Pillow's own exif_transpose has it."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(RGB, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert_close(decode(content), wanted, 1)


@pytest.mark.parametrize("before", [b"", b"\xff\xfe\0\x06note", b"\xff"])
def test_exif_is_found_wherever_it_stands(before):
    """After a comment, or a fill byte."""
    exif = Image.Exif()
    exif[0x0112] = 3
    content = encoded(RGB, exif=exif, quality=95)
    content = content[:2] + before + content[2:]
    assert read_header(content).orientation == 3


def test_an_image_of_the_rooms_shape_is_decoded_into_it():
    content, out = encoded(RGB, quality=95), np.zeros_like(RGB)
    assert decode(content, min(RGB.shape[:2]), out=out) is out
    assert_close(out, decode(content), 0)
    turned = Image.Exif()
    turned[0x0112] = 3
    found = decode(encoded(RGB, quality=95, exif=turned), min(RGB.shape[:2]), out=out)
    assert_close(found, out[::-1, ::-1], 1)
    assert not np.may_share_memory(found, out)


def test_dct_scaling_keeps_the_smallest_side_and_the_picture():
    large = picture(3, 400, 640)
    found = decode(encoded(large, quality=95), min_side=100)
    assert 100 <= min(found.shape[:2]) < 200
    shrunk = Image.fromarray(large).resize(found.shape[1::-1], Image.Resampling.BOX)
    assert_close(found, np.asarray(shrunk), 3)


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing: a decompression bomb's head."""
    chunk = lambda kind, data: (  # noqa: E731
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"this is text, whatever its name says", "not a JPEG, PNG or WebP"),
        (b"GIF89a" + b"\0" * 50, "not a JPEG, PNG or WebP"),
        *((encoded(RGB, kind), "not a JPEG, PNG or WebP") for kind in OTHER_FORMATS),
        (encoded(RGB)[:300], "truncated|header|broken"),
        (encoded(RGB)[:-200], "truncated"),
        (encoded(RGB, "PNG")[:-300], "truncated|broken"),
        (png_header(20_000, 20_000), "20000x20000 pixels, over data.max_pixels=50000000"),
        (png_header(30, 30), "truncated|broken"),
    ],
)
def test_bad_files_are_refused_with_a_reason(content, reason):
    with pytest.raises(BadImageError, match=reason):
        decode(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_bomb_is_refused_by_its_header_alone(kind, monkeypatch):
    """Also a PNG with all of its pixels, which Pillow decodes to look for EXIF."""
    loads, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda i: loads.append(kind) or load(i))
    with pytest.raises(BadImageError, match=r"over data\.max_pixels=1000"):
        read_header(encoded(RGB, kind), max_pixels=1000)
    assert loads == []


def test_an_image_of_one_pixel():
    assert decode(encoded(RGB[:1, :1], "PNG")).shape == (1, 1, 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "RGBA", "LA", "I;16"])
def test_a_large_image_has_the_pixels_of_a_small_one(monkeypatch, mode):
    """Converted some rows at a time, opaque or not."""
    alpha = Image.fromarray(np.uint8(np.arange(RGB[..., 0].size) // 9).reshape(RGB.shape[:2]))
    image = Image.fromarray(RGB)
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
    elif mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(alpha)
    else:
        image = image.convert(mode)
    whole = decode_module.as_rgb(image)
    monkeypatch.setattr(decode_module, "STRIP_PIXELS", 3 * RGB.shape[1] + 5)
    convert, heights = decode_module.rows_as_rgb, []
    monkeypatch.setattr(
        decode_module, "rows_as_rgb", lambda rows: heights.append(rows.height) or convert(rows)
    )
    np.testing.assert_array_equal(decode_module.as_rgb(image), whole)
    assert (max(heights), sum(heights)) == (3, RGB.shape[0])


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"alpha": True}])
def test_size_that_a_webp_claims(options):
    image = Image.fromarray(RGB)
    if options.pop("alpha", False):
        image.putalpha(7)
    assert decode_module.webp_size(encoded(image, "WEBP", **options)) == RGB.shape[:2]


def test_a_huge_webp_is_refused_before_there_is_room_for_it(monkeypatch):
    content = bytearray(encoded(RGB, "WEBP"))
    content[26:30] = struct.pack("<HH", 16_383, 9_000)
    monkeypatch.setattr(decode_module, "pillow_open", lambda content: pytest.fail("it was opened"))
    with pytest.raises(BadImageError, match=r"^16383x9000 pixels, over data\.max_pixels=50000000$"):
        read_header(bytes(content))
