"""Official files: found in every form, downloaded once, and never half or wrong."""

import gzip
import hashlib
import http.server
import io
import lzma
import tarfile
import threading

import numpy as np
import pytest

from cnn_jax.data.dataset import Split
from cnn_jax.data.sources import official
from cnn_jax.errors import UserError
from tests.support import commands

CONTENTS = {}  # file of a small set in MNIST's form -> content
for part, count in (("train", 6), ("t10k", 4)):
    pixels = np.random.RandomState(count).randint(0, 256, count * 4, np.uint8)
    header = np.array([2051, count, 2, 2], ">i4")
    CONTENTS[f"{part}-images-idx3-ubyte"] = header.tobytes() + pixels.tobytes()
    header = np.array([2049, count], ">i4")
    CONTENTS[f"{part}-labels-idx1-ubyte"] = header.tobytes() + bytes(range(count))
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENTS.items()}
FIRST = "train-images-idx3-ubyte.gz"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def small(monkeypatch):
    """A set called "small" in MNIST's form, published nowhere."""
    hashes = {
        name: (sha256(PACKED[f"{name}.gz"]), sha256(content)) for name, content in CONTENTS.items()
    }
    published = official.mnist_like("http://127.0.0.1:9/none", hashes, tuple("abcdef"))
    monkeypatch.setitem(official.SETS, "small", published)
    monkeypatch.setattr(official, "TIMEOUT", 0.5)


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; what `faults` says of a file goes wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.asked = dict(PACKED), {}, []
        self.site = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        fault = self.server.faults.get(name)
        if fault == "absent":
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(200)
        if fault != "truncated":  # without a length, an early end looks like the end
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "silent":
            threading.Event().wait(2)
        elif fault in ("broken", "truncated"):
            self.wfile.write(content[: len(content) // 2])
        elif fault == "wrong":
            self.wfile.write(bytes(len(content)))
        else:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def load(folder, mirror="", download=True, name="small"):
    """(task, training split, test split)."""
    source = official.read(name, str(folder), download, mirror)
    ids = np.arange(len(source), dtype=np.int32)
    whole = Split(source.images, source.labels, ids)
    return source.task, *(whole.take(source.splits[part]) for part in ("train", "test"))


def assert_right(loaded):
    task, train, test = loaded
    assert task.classes == tuple("abcdef")
    for split, part, first in ((train, "train", 0), (test, "t10k", 6)):
        content = CONTENTS[f"{part}-images-idx3-ubyte"][16:]
        assert split.images.tobytes() == content
        assert split.images.shape == (len(content) // 4, 2, 2, 1)
        np.testing.assert_array_equal(split.labels, np.arange(len(split)))
        np.testing.assert_array_equal(split.ids, first + np.arange(len(split)))


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_is_kept_and_used_again(small, server, tmp_path, capsys):
    assert_right(load(tmp_path, server.site))
    assert sorted(server.asked) == sorted(PACKED)
    assert files_in(tmp_path) == sorted(PACKED)
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"downloading {server.site}/{FIRST} to {tmp_path / 'small'}"
    assert_right(load(tmp_path, server.site))
    assert_right(load(tmp_path, download=False))
    assert len(server.asked) == 4
    assert capsys.readouterr().out == ""


FAULTS = {
    "broken": "could not be downloaded (IncompleteRead(",
    "absent": "could not be downloaded (404 Client Error: Not Found",
    "silent": "could not be downloaded (timed out)",
    "truncated": "is not the published file: its SHA-256 is not ",
    "wrong": "is not the published file: its SHA-256 is not ",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_one_line_and_leaves_nothing(small, server, tmp_path, fault):
    server.faults[FIRST] = fault
    with pytest.raises(UserError) as error:
        load(tmp_path, server.site)
    line = str(error.value)
    assert line.startswith(f"{server.site}/{FIRST} {FAULTS[fault]}")
    assert "data.mirror" in line
    assert "\n" not in line
    assert files_in(tmp_path) == []
    server.faults.clear()
    assert_right(load(tmp_path, server.site))


def test_fault_in_the_last_file_keeps_the_others(small, server, tmp_path):
    last = [*PACKED][-1]
    server.faults[last] = "broken"
    with pytest.raises(UserError):
        load(tmp_path, server.site)
    assert files_in(tmp_path) == sorted({*PACKED} - {last})
    server.faults.clear()
    assert_right(load(tmp_path, server.site))
    assert server.asked.count(last) == 2
    assert len(server.asked) == 5


def test_server_that_is_not_there(small, tmp_path):
    with pytest.raises(UserError, match=r"/none/.* could not be downloaded \(Connection refused\)"):
        load(tmp_path)
    assert files_in(tmp_path) == []


def test_folder_that_cannot_be_written(small, server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"could not be downloaded \(Not a directory\)"):
        load(tmp_path / "file/below", server.site)


FORMS = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("place", ["", "small"])
@pytest.mark.parametrize("ending", FORMS)
def test_every_form_reads_alike(small, tmp_path, ending, place):
    (tmp_path / place).mkdir(exist_ok=True)
    for name, content in CONTENTS.items():
        (tmp_path / place / f"{name}{ending}").write_bytes(FORMS[ending](content))
    assert_right(load(tmp_path, download=False))


@pytest.mark.parametrize("ending", FORMS)
@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_damaged_file_on_disk_is_named(small, tmp_path, ending, harm):
    for name, content in CONTENTS.items():
        (tmp_path / f"{name}{ending}").write_bytes(FORMS[ending](content))
    path = tmp_path / f"t10k-labels-idx1-ubyte{ending}"
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes({"cut": content[:-3], "flip": content, "empty": b""}[harm])
    with pytest.raises(UserError) as error:
        load(tmp_path)  # a wrong file of the user's is not replaced
    line = str(error.value)
    assert line.startswith(f"{path} is ")
    assert line.endswith("delete it to download it again")
    assert "\n" not in line


def test_missing_file_without_download(small, tmp_path):
    with pytest.raises(UserError) as error:
        load(tmp_path, download=False)
    assert str(error.value) == (
        f"data.dir={str(tmp_path)!r} holds no train-images-idx3-ubyte[.gz|.xz] of small "
        f"(looked in {tmp_path / 'small'} and {tmp_path}), and data.download is False"
    )


# One archive for all files, as CIFAR has it


def records(count, seed):
    numbers = np.random.RandomState(seed).randint(0, 256, (count, 3073), np.uint8)
    numbers[:, 0] %= 10
    return numbers


BATCHES = {"one.bin": records(3, 0), "two.bin": records(2, 1), "test.bin": records(4, 2)}


def archive_of(batches):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, batch in batches.items():
            member = tarfile.TarInfo(f"some-folder/{name}")
            member.size = batch.nbytes
            archive.addfile(member, io.BytesIO(batch.tobytes()))
    return packed.getvalue()


@pytest.fixture
def archived(monkeypatch, server):
    """A set called "archived" in CIFAR's form, on the server."""
    hashes = {name: (sha256(batch.tobytes()),) for name, batch in BATCHES.items()}
    packed = server.files["all.tar.gz"] = archive_of(BATCHES)
    published = official.Published(
        train={name: hashes[name] for name in ("one.bin", "two.bin")},
        test={"test.bin": hashes["test.bin"]},
        remote={"*": official.Remote(f"{server.site}/all.tar.gz", sha256(packed))},
        parse=official.parse_cifar(1),
        classes=tuple("abcdefghij"),
    )
    monkeypatch.setitem(official.SETS, "archived", published)
    return server


def assert_records(loaded):
    _, train, test = loaded
    wanted = np.concatenate([BATCHES["one.bin"], BATCHES["two.bin"]])
    for split, batch in ((train, wanted), (test, BATCHES["test.bin"])):
        np.testing.assert_array_equal(split.labels, batch[:, 0])
        for channel in range(3):  # 1,024 red, then green, then blue
            plane = batch[:, 1 + 1024 * channel :][:, :1024].reshape(-1, 32, 32)
            np.testing.assert_array_equal(split.images[..., channel], plane)


def test_archive_is_downloaded_once(archived, tmp_path):
    for _ in range(2):
        assert_records(load(tmp_path, name="archived"))
    assert archived.asked == ["all.tar.gz"]


def test_unpacked_files_serve_beside_the_archive(archived, tmp_path):
    for name, batch in BATCHES.items():
        (tmp_path / f"{name}.xz").write_bytes(lzma.compress(batch.tobytes()))
    assert_records(load(tmp_path, name="archived"))
    assert archived.asked == []


def test_archive_without_a_file(archived, tmp_path):
    some = {name: batch for name, batch in BATCHES.items() if name != "two.bin"}
    (tmp_path / "all.tar.gz").write_bytes(archive_of(some))
    with pytest.raises(UserError, match=r"all.tar.gz holds no two.bin"):
        load(tmp_path, name="archived")


def test_archive_with_a_wrong_file(archived, tmp_path):
    (tmp_path / "all.tar.gz").write_bytes(archive_of({**BATCHES, "two.bin": records(2, 9)}))
    with pytest.raises(UserError, match=r"all.tar.gz is not archived's published two.bin"):
        load(tmp_path, name="archived")


def test_damaged_archive(archived, tmp_path):
    (tmp_path / "all.tar.gz").write_bytes(archive_of(BATCHES)[:-500])
    with pytest.raises(UserError, match=r"all.tar.gz is damaged \("):
        load(tmp_path, name="archived")


# The real sets, and the command


def test_command_says_what_went_wrong(server, tmp_path):
    server.faults[FIRST] = "wrong"
    words = [f"--config={commands.CONFIG}", f"--workdir={tmp_path / 'run'}"]
    data = ["--config.data.name=mnist", f"--config.data.dir={tmp_path / 'data'}"]
    command = commands.start(*words, *data, f"--config.data.mirror={server.site}")
    assert command.wait() == 2
    assert command.err.startswith(f"error: {server.site}/{FIRST} is not the published file")
    assert command.err.count("\n") == 1
    assert files_in(tmp_path) == []


def test_real_mnist(real_data):
    task, train, test = load(real_data, download=False, name="mnist")
    assert (train.images.shape, test.images.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    assert np.bincount(train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert len(task.classes) == 10
    assert round(float(train.images.mean()) / 255, 4) == 0.1307


@pytest.mark.slow
def test_real_mnist_from_a_server(real_data, server, tmp_path, monkeypatch):
    """The official files and hashes, from the first byte to the last."""
    server.files = {path.name: path.read_bytes() for path in (real_data / "mnist").glob("*.gz")}
    load(tmp_path, server.site, name="mnist")
    for path in (real_data / "mnist").glob("*.gz"):
        assert (tmp_path / "mnist" / path.name).read_bytes() == path.read_bytes()


def test_real_fashion_mnist(real_data):
    task, train, test = load(real_data, download=False, name="fashion_mnist")
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert task.classes[train.labels[0]] == "Ankle boot"


@pytest.mark.slow
def test_real_cifar10(real_data):
    _, train, test = load(real_data, download=False, name="cifar10")
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    mean = train.images.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.49140, 0.48216, 0.44653], atol=1e-5)
