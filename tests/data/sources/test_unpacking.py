"""An archive that unpacks to more than any published file is refused before it fills the memory."""

import gzip
import io
import lzma
import tarfile

import pytest

from cnn_jax.data.sources import official
from cnn_jax.errors import UserError


def tar_of(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_no_more_is_unpacked_than_a_published_file_has(monkeypatch):
    monkeypatch.setattr(official, "LARGEST_FILE", 1000)
    asked = []

    class Endless:
        def read(self, size=-1):
            asked.append(size)
            return bytes(max(size, 0))

    with pytest.raises(UserError, match=r"a\.gz unpacks to more than 1,000 bytes"):
        official.read_bounded(Endless(), "a.gz")
    assert asked == [1001]


@pytest.mark.parametrize("ending", [".gz", ".xz", ".tar.gz"])
def test_a_bomb_is_not_unpacked_to_its_end(tmp_path, monkeypatch, ending):
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".tar.gz": lambda c: tar_of("digits", c)}
    path = tmp_path / f"digits{ending}"
    monkeypatch.setattr(official, "LARGEST_FILE", 1000)
    path.write_bytes(pack[ending](bytes(1000)))
    assert official.unpack(path, ["digits"]) == {"digits": bytes(1000)}
    path.write_bytes(pack[ending](bytes(1001)))
    with pytest.raises(UserError, match=rf"digits{ending} unpacks to more than 1,000 bytes.* dele"):
        official.unpack(path, ["digits"])
