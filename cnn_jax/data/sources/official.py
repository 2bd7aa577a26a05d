"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 from the files that their authors publish.

A file is read plain, `.gz` or `.xz`, from `dir/<set>` or `dir`, or from inside the set's published
archive; what it unpacks to must have the SHA-256 below. Where neither is there, the archive or the
file is downloaded and held against the SHA-256 that tensorflow-datasets registers for it. CIFAR is
read in its binary version: the "python version" is a pickle.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Task
from cnn_jax.data.sources.array_source import ArraySource
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import DownloadBar
from cnn_jax.runtime.regular_files import open_regular

LARGEST_ARCHIVE = 1 << 30  # bytes; the largest set has a fifth of it
LARGEST_FILE = 256 << 20  # bytes, unpacked; CIFAR-100's training file has 147 MiB
TIMEOUT = 30  # seconds without an answer or a byte
CIFAR_SITE = "https://www.cs.toronto.edu/~kriz"


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file to download: where it lies, and its SHA-256 as it travels."""

    url: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Published:
    """One set: the SHA-256 (one or more) of each unpacked file, and what to download for it."""

    train: dict[str, tuple[str, ...]]
    test: dict[str, tuple[str, ...]]
    remote: dict[str, Remote]  # by file, or "*" for one archive that holds all
    parse: Callable[[dict[str, bytes]], tuple[np.ndarray, np.ndarray]]
    classes: tuple[str, ...]


def parse_idx(files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """IDX images (magic 2051: count, rows, columns) and labels (magic 2049: count), big-endian."""
    image_file, label_file = files
    header = np.frombuffer(files[image_file], ">i4", 4)
    if header[0] != 2051:
        raise UserError(f"{image_file} is no IDX image file: its magic number is {header[0]}")
    images = np.frombuffer(files[image_file], np.uint8, offset=16).reshape(*header[1:], 1)
    labels = np.frombuffer(files[label_file], np.uint8, offset=8)
    return images, labels


def parse_cifar(label_bytes: int) -> Callable[[dict[str, bytes]], tuple[np.ndarray, np.ndarray]]:
    """Records of `label_bytes` (the last one is the class), then 1,024 red, green, blue bytes."""

    def parse(files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
        records = np.frombuffer(b"".join(files.values()), np.uint8).reshape(-1, label_bytes + 3072)
        images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), records[:, label_bytes - 1]

    return parse


def mnist_like(
    site: str, hashes: dict[str, tuple[str, str]], classes: tuple[str, ...]
) -> Published:
    """The four IDX files; `hashes` gives (of the .gz file, of its content)."""
    content = {file: (unpacked,) for file, (_, unpacked) in hashes.items()}
    return Published(
        train={file: digest for file, digest in content.items() if file.startswith("train")},
        test={file: digest for file, digest in content.items() if file.startswith("t10k")},
        remote={f: Remote(f"{site}/{f}.gz", packed) for f, (packed, _) in hashes.items()},
        parse=parse_idx,
        classes=classes,
    )


CIFAR100_CLASSES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus "
    "butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch "
    "crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo "
    "keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse "
    "mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy "
    "porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television "
    "tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
).split()

SETS: dict[str, Published] = {
    "mnist": mnist_like(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        {
            "train-images-idx3-ubyte": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "train-labels-idx1-ubyte": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "t10k-images-idx3-ubyte": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "t10k-labels-idx1-ubyte": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
        tuple(str(digit) for digit in range(10)),
    ),
    "fashion_mnist": mnist_like(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        {
            "train-images-idx3-ubyte": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            "train-labels-idx1-ubyte": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            "t10k-images-idx3-ubyte": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            "t10k-labels-idx1-ubyte": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        },
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    "cifar10": Published(
        train={
            "data_batch_1.bin": (
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            ),
            "data_batch_2.bin": (
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            ),
            "data_batch_3.bin": (
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            ),
            "data_batch_4.bin": (
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            ),
            "data_batch_5.bin": (
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
        },
        test={
            "test_batch.bin": (
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                # The same 10,000 records in another order, put together from the PNG distribution.
                "b8222b4f5bd522f2c1c53abac91f65c102d73cdd98367e5ded82bdbaf1806215",
            ),
        },
        remote={
            "*": Remote(
                f"{CIFAR_SITE}/cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            )
        },
        parse=parse_cifar(1),
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
    ),
    "cifar100": Published(
        train={"train.bin": ("f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",)},
        test={"test.bin": ("d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",)},
        remote={
            "*": Remote(
                f"{CIFAR_SITE}/cifar-100-binary.tar.gz",
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            )
        },
        parse=parse_cifar(2),
        classes=tuple(CIFAR100_CLASSES),
    ),
}


def read(name: str, data_dir: str, download: bool, mirror: str) -> ArraySource:
    """One of `SETS`, its official training examples first, and then those of its test split.

    `mirror`, when given, replaces the site of every download.
    """
    published = SETS[name]
    contents = read_files(name, Path(data_dir).expanduser(), download, mirror)
    train, train_labels = published.parse({file: contents[file] for file in published.train})
    test, test_labels = published.parse({file: contents[file] for file in published.test})
    numbers = np.arange(len(train) + len(test))
    return ArraySource(
        Task("classification", published.classes),
        np.concatenate([train, test]),
        np.concatenate([train_labels, test_labels]).astype(np.int32),
        {"train": numbers[: len(train)], "test": numbers[len(train) :]},
    )


def read_files(name: str, root: Path, download: bool, mirror: str) -> dict[str, bytes]:
    """The unpacked bytes of every file of a set, each found, or downloaded once, and checked."""
    published, folders = SETS[name], [root / name, root]
    digests = {**published.train, **published.test}
    files_at: dict[Path, list[str]] = {}
    for file in digests:
        source = published.remote.get(file) or published.remote["*"]
        path = find_file(file, source, folders)
        if path is None:
            if not download:
                raise UserError(
                    f"data.dir={str(root)!r} holds no {file}[.gz|.xz] of {name} (looked in "
                    f"{' and '.join(map(str, folders))}), and data.download is False"
                )
            path = fetch(source, root / name, mirror)
        files_at.setdefault(path, []).append(file)

    def read_one(path: Path) -> dict[str, bytes]:
        contents = unpack(path, files_at[path])
        for file, content in contents.items():
            digest = hashlib.sha256(content).hexdigest()
            if digest not in digests[file]:
                raise UserError(
                    f"{path} is not {name}'s published {file}: SHA-256 of its content is {digest}, "
                    f"expected {digests[file][0]}; delete it to download it again"
                )
        return contents

    with ThreadPoolExecutor() as pool:  # unpacking and hashing run beside each other
        parts = pool.map(read_one, files_at)
        return {file: content for part in parts for file, content in part.items()}


def find_file(file: str, source: Remote, folders: list[Path]) -> Path | None:
    """Where `file` lies, under one of its names, or in the set's archive."""
    archive = source.url.rsplit("/", 1)[-1]
    for folder in folders:
        for candidate in (file, f"{file}.gz", f"{file}.xz", archive):
            if (folder / candidate).is_file():
                return folder / candidate
    return None


def unpack(path: Path, files: list[str]) -> dict[str, bytes]:
    """The plain content of `files`, which `path` is, compresses or holds."""
    try:
        if path.name.endswith(".tar.gz"):
            return unpack_archive(path, files)
        with open(open_regular(path, LARGEST_ARCHIVE), "rb") as file:
            opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix)
            with opener(file, "rb") if opener else file as stream:
                return {files[0]: read_bounded(stream, path)}
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to download it again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_bounded(stream: Any, path: Path) -> bytes:
    """All of an unpacked file; raises `UserError` before a bomb fills the memory."""
    content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise UserError(
            f"{path} unpacks to more than {LARGEST_FILE:,} bytes, as no published file does; "
            "delete it to download it again"
        )
    return content


def unpack_archive(path: Path, files: list[str]) -> dict[str, bytes]:
    contents = {}
    with (
        open(open_regular(path, LARGEST_ARCHIVE), "rb") as file,
        tarfile.open(fileobj=file, mode="r|gz") as archive,  # one pass, nothing is written
    ):
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in files and member.isfile() else None
            if content is not None:
                contents[name] = read_bounded(content, path)
    if missing := [file for file in files if file not in contents]:
        raise UserError(f"{path} holds no {missing[0]}; delete it to download it again")
    return contents


def fetch(source: Remote, folder: Path, mirror: str) -> Path:
    """Downloads `source` into `folder`; a broken or wrong file never stays."""
    import pooch
    import requests

    name = source.url.rsplit("/", 1)[-1]
    url = f"{mirror.rstrip('/')}/{name}" if mirror else source.url
    print(f"downloading {url} to {folder}", flush=True)
    pooch.get_logger().setLevel("ERROR")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with DownloadBar(name) as bar:
            path = pooch.retrieve(
                url,
                known_hash=f"sha256:{source.sha256}",
                fname=name,
                path=os.fspath(folder),
                downloader=pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT),
            )
    except (requests.RequestException, OSError) as error:
        raise UserError(
            f"{url} could not be downloaded ({innermost(error)}); put the file into {folder} by "
            "hand, or set data.dir or data.mirror"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{url} is not the published file: its SHA-256 is not {source.sha256}; "
            "nothing was kept, try again or set data.mirror"
        ) from error
    return Path(path)


def innermost(error: BaseException) -> str:
    """What went wrong at the bottom: "Connection refused" rather than three layers around it."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
