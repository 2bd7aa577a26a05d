"""Folders of fuzzed images, as training and prediction read them."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from cnn_jax.data.images.decode import BadImageError, as_rgb, decode
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources import manifest
from cnn_jax.data.sources.image_dataset import read_examples
from cnn_jax.data.sources.image_folder import list_folder
from cnn_jax.errors import UserError
from cnn_jax.inference.image_stream import find_images
from configs.base import base
from tests.faults import fuzzed_images, memory
from tests.support.folders import encoded, picture
from tests.support.random_net import random_net

FILES = 50
LIMIT = fuzzed_images.MAX_PIXELS * 7 / 2**20 + 64  # MB: Pillow holds four bytes a pixel, we three


class BadImages:
    """Each round is a folder of fifty files, read in memory, as a stream and by a net."""

    def __init__(self, folder: Path):
        self.folder, self.most = folder, 0.0
        self.net = random_net("perceptron", 8, classes=2)
        self.net.predict(np.zeros((1, 8, 8, 1), np.uint8))  # compiled

    def round(self, choose: random.Random) -> str:
        root = self.folder / "images"
        shutil.rmtree(root, ignore_errors=True)
        fate = self.write(root, choose)
        config = base("own", f"folder:{root}", image_size=8).data
        config.skip_bad, config.channels = True, 3
        peak = memory.Peak()
        listed = [self.trained_on(config, streaming) for streaming in (False, True)]
        bad: dict[str, str] = {}
        parts = [*self.net.predict_batches(find_images(root), bad)]
        self.most = max(self.most, peak.check(LIMIT))
        predicted = {name for part in parts for name in part.names}
        found = {Path(name).relative_to(root).as_posix() for name in bad}
        if listed[0] != listed[1] or listed[0] != found:
            raise AssertionError(f"listed {listed[0] ^ listed[1] or listed[0] ^ found} once only")
        if len(predicted) + len(found) != len(fate):
            raise AssertionError(f"{len(predicted)} and {len(found)} of {len(fate)}")
        for name, wanted in fate.items():
            if (wanted == "bad" and name not in found) or (wanted == "whole" and name in found):
                raise AssertionError(f"{name} is {wanted}, and listed: {name in found}")
        self.check_hashes(root, choose)
        return f"{FILES} files"

    def figures(self) -> str:
        return f"at most {self.most:.0f} MB over what the process held before"

    def write(self, root: Path, choose: random.Random) -> dict[str, str]:
        """{file: what must become of it}."""
        fate = {}
        for name in ("a", "b"):
            (root / name).mkdir(parents=True)
            (root / name / "good.jpg").write_bytes(encoded(picture(1)))
            fate[f"{name}/good.jpg"] = "whole"
        makers = [choose.choice(fuzzed_images.KINDS) for _ in range(FILES - 1)]
        for number, make in enumerate([*makers, fuzzed_images.bomb]):
            suffix, content, wanted = make(choose)
            file = f"{choose.choice('ab')}/{make.__name__}_{number:02}{suffix}"
            (root / file).write_bytes(content)
            fate[file] = wanted
        return fate

    def trained_on(self, config, streaming: bool) -> set[str]:
        """The files that training lists as bad; each other row must be that very file's image."""
        config.streaming = streaming
        source, resize, said = list_folder(config.name[7:]), ResizeSpec.of(config), io.StringIO()
        with contextlib.redirect_stderr(said):
            split = read_examples(config, source, resize)
        named = {name for name in source.paths if f" {name}" in said.getvalue()}
        for row, number in enumerate(split.ids):
            image = np.empty(split.image_shape, np.uint8)
            split.read_into(image, row)
            content = source.read(int(number))
            if content in fuzzed_images.LARGEST:  # black, or transparent: then white
                np.testing.assert_array_equal(image, 255 * fuzzed_images.LARGEST.index(content))
            else:
                self.check_pixels(image, content, source.name(int(number)), resize)
        if len(named) + len(split) != len(source):
            raise AssertionError(f"{len(named)} of {len(source) - len(split)} are listed")
        return named

    @staticmethod
    def check_pixels(row: np.ndarray, content: bytes, name: str, resize: ResizeSpec) -> None:
        """The row is this file's, and as Pillow has it where it is whole."""
        try:
            np.testing.assert_array_equal(row, resize(decode(content, resize.min_side)))
        except BadImageError as error:
            raise AssertionError(f"{name} has a row, and is bad: {error}") from error
        if "flipped" in name:
            return
        image = Image.open(io.BytesIO(content))
        if image.getexif().get(0x0112, 1) == 1:
            found, wanted = decode(content).astype(int), as_rgb(image).astype(int)
            if found.shape != wanted.shape or np.abs(found - wanted).mean() > 2:
                raise AssertionError(f"{name} is not what Pillow sees")

    @staticmethod
    def check_hashes(root: Path, choose: random.Random) -> None:
        """A bit that flips is found by its hash, whatever the decoder makes of it."""
        source, hashes = list_folder(str(root)), root.parent / "hashes"
        lines = [
            manifest.manifest_line(digest, name) for name, digest in manifest.file_hashes(source)
        ]
        hashes.write_text("".join(lines))
        victim = root / choose.choice([p for p in source.paths if (root / p).stat().st_size])
        data = bytearray(victim.read_bytes())
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        victim.write_bytes(data)
        try:
            manifest.verify(source, hashes)
        except UserError as error:
            if f" {victim.relative_to(root)} (another SHA-256)" in str(error):
                return
            raise AssertionError(f"{victim} is not in {error}") from error
        raise AssertionError(f"the flip in {victim} is not found")
