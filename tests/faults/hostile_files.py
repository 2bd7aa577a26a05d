"""Files that mean harm, put in the place of a run's, or of weights'.

Each is (the folder, random numbers) -> which files it changed, in words.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.runtime.checksums import CHECKSUMS, write_checksums
from tests.faults.audit import EVIL
from tests.faults.harms import flip_bit, truncate

ESCAPE = "\x1b[2J\x1b]0;owned\x07\r\n\x9b31m"
CLIMBING = "../../../../outside/climbed"


class Evil:
    """Unpickled, it runs."""

    def __reduce__(self) -> Any:
        return exec, (f"import {EVIL}",)


def deep(levels: int = 100_000) -> str:
    return "[" * levels + "]" * levels


VALUES: list[Any] = [
    *(None, True, 0, -1, 1, 2**40, 2**70, 10**400, 1e308, float("nan"), float("inf"), "", [], {}),
    *(ESCAPE, CLIMBING, f"/{CLIMBING}", "a\0b", "\ud800", "x" * 100_000, [1] * 10_000, [[[]]]),
    *(f"{EVIL}.run", f"{EVIL}:run", f"__import__('{EVIL}')", f"{{__import__('{EVIL}')}}"),
    *(f"exec(import {EVIL})", f"pad_and_crop(__import__('{EVIL}'))", f"tfds:{EVIL}"),
    *({"py/object": f"{EVIL}.X"}, {"pythonClassName": f"{EVIL}.X"}, {"_target_": f"{EVIL}.run"}),
    {"__reduce__": [f"{EVIL}.run", []]},
]
KEYS = [
    *("__class__", "__init__.x", "model.__class__", "model", "data", "a.b.c.d", ESCAPE, CLIMBING),
    *("model.name", "model.dtype", "model.act", "model.norm", "optimizer.name", "schedule.name"),
    *("data.name", "data.image_size", "augment", "protocol", "name", "model.hidden", "classes"),
]


def hostile_json(path: Path, choose: random.Random) -> str:
    """One to three values or keys are others; or the text is none."""
    kind = choose.choice(["values", "values", "values", "deep", "text", "flip", "cut", "huge"])
    if kind == "deep":
        path.write_text(f'{{"name": {deep()}}}')
    elif kind == "text":
        path.write_bytes(choose.randbytes(200) + ESCAPE.encode())
    elif kind == "flip":
        flip_bit(path, choose)
    elif kind == "cut":
        truncate(path, choose)
    elif kind == "huge":
        path.write_text(json.dumps({"name": "x" * 20_000_000}))
    else:
        values = json.loads(path.read_text())
        for _ in range(choose.randint(1, 3)):
            change_one(values, choose)
        path.write_text(json.dumps(values))
    return f"{path.name}: {kind}"


def change_one(values: Any, choose: random.Random) -> None:
    """Somewhere in nested dicts and lists."""
    while isinstance(values, dict | list) and values:
        keys = [*values] if isinstance(values, dict) else [*range(len(values))]
        if isinstance(values, dict) and choose.random() < 0.2:
            values[choose.choice(KEYS)] = choose.choice(VALUES)
            return
        key = choose.choice(keys)
        if not values[key] or not isinstance(values[key], dict | list) or choose.random() < 0.4:
            values[key] = choose.choice(VALUES)
            return
        values = values[key]


def hostile_rows(path: Path, choose: random.Random) -> str:
    lines = path.read_text().splitlines()
    row = json.loads(choose.choice(lines))
    change_one(row, choose)
    lines[choose.randrange(len(lines))] = choose.choice([json.dumps(row), deep(), ESCAPE, "[]"])
    path.write_text("\n".join(lines) + choose.choice(["", "\n", ESCAPE]))
    return path.name


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def hostile_npy(choose: random.Random) -> bytes:
    whole = io.BytesIO()
    np.save(whole, np.zeros((2, 8, 8, 1), np.float32))
    shape = choose.choice(["(2, 8, 8, 1)", "(1073741824,)", f"({2**62}, 4)", "(-1,)", "(1,)" * 500])
    pickled = io.BytesIO()
    np.save(pickled, np.array([Evil()], object), allow_pickle=True)
    call = f"{{'descr': __import__('{EVIL}'), 'fortran_order': False, 'shape': (1,)}}"
    return choose.choice(
        [
            pickled.getvalue(),
            npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", bytes(512)),
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps(Evil())),
            npy(call),
            npy("(" * 5_000),
            whole.getvalue()[: choose.randrange(1, len(whole.getvalue()))],
            pickle.dumps(Evil()),
            b"",
        ]
    )


def hostile_npz(path: Path, choose: random.Random) -> str:
    """A zip whose members are hostile, climb, or grow a thousandfold."""
    kind = choose.choice(["member", "bomb", "names", "flip", "cut", "pickle", "twice"])
    members = {}
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    first = next(iter(members))
    if kind in ("flip", "cut"):
        (flip_bit if kind == "flip" else truncate)(path, choose)
        return f"{path.name}: {kind}"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
        return f"{path.name}: {kind}"
    if kind == "member":
        members[choose.choice([*members])] = hostile_npy(choose)
    elif kind == "bomb":
        shape = "'shape': (250000000,)}"
        head = npy(f"{{'descr': '<f4', 'fortran_order': False, {shape}")
        members[first] = head + bytes(999)
    elif kind == "names":
        extra = choose.choice([CLIMBING, f"/{CLIMBING}.npy", ESCAPE, "self.npy", "__class__.npy"])
        members[extra] = hostile_npy(choose)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            with archive.open(name, "w") as member:
                member.write(data)
                if kind == "bomb" and name == first and choose.random() < 0.5:
                    for _ in range(1000):
                        member.write(bytes(10**6))
    return f"{path.name}: {kind}"


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def hostile_safetensors(path: Path, choose: random.Random) -> str:
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    names = [name for name in header if name != "__metadata__"]
    kind = choose.choice(
        ["flip", "cut", "length", "deep", "shape", "dtype", "overlap", "name", "many", "random"]
    )
    name = choose.choice(names)
    if kind in ("flip", "cut"):
        (flip_bit if kind == "flip" else truncate)(path, choose)
    elif kind == "length":
        lengths = [2**63 - 1, 2**64 - 1, 10**8, 0, len(content)]
        path.write_bytes(safetensors(header, data, choose.choice(lengths)))
    elif kind == "deep":
        path.write_bytes(safetensors(f'{{"a": {deep()}}}'.encode()))
    elif kind == "random":
        path.write_bytes(safetensors(choose.randbytes(100), data))
    else:
        if kind == "shape":
            shapes = [[2**40], [2**62, 4], [], [0], [-1], [1] * 1000, header[name]["shape"][::-1]]
            header[name]["shape"] = choose.choice(shapes)
        elif kind == "dtype":
            dtypes = ["F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", ESCAPE, EVIL, "C64"]
            header[name]["dtype"] = choose.choice(dtypes)
        elif kind == "overlap":
            header[name]["data_offsets"] = header[choose.choice(names)]["data_offsets"]
        elif kind == "name":
            new = choose.choice([CLIMBING, ESCAPE, "params", "params/a/b/c", "", "__metadata__"])
            header = {(new if key == name else key): value for key, value in header.items()}
        elif kind == "many":
            empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
            header = {f"params/x{i}/kernel": empty for i in range(20_000)} | header
        path.write_bytes(safetensors(header, data))
    return f"{path.name}: {kind}"


def rehash(folder: Path) -> None:
    """So that the tensors are those that the description is of."""
    description = folder / "weights.json"
    values = json.loads(description.read_text())
    values["sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    description.write_text(json.dumps(values))


def torch_file(choose: random.Random) -> tuple[str, bytes]:
    """(name, content) of a pickle, bare or in a zip as torch writes it, or of an archive."""
    suffix = choose.choice([".pth", ".pt", ".bin", ".npz", ".zip", ".ckpt", ".pkl", ".safetensors"])
    body = pickle.dumps(
        choose.choice([Evil(), {"a": Evil()}, {"state_dict": {"fc.weight": Evil()}}])
    )
    if choose.random() < 0.5:
        return suffix, body
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", body)
        archive.writestr("archive/version", "3\n")
        archive.writestr(CLIMBING, "climbed")
    return suffix, stream.getvalue()


def hostile_save(save: Path, choose: random.Random) -> str:
    """A file of a checkpoint, whose hashes are then made to agree."""
    files = [p for p in sorted(save.rglob("*")) if p.is_file() and p.name != CHECKSUMS]
    path = choose.choice([p for p in files if p.stat().st_size])
    if path.suffix == ".json" or path.name.startswith(("_", "metadata", "manifest.json")):
        try:
            said = hostile_json(path, choose)
        except ValueError:
            flip_bit(path, choose)
            said = f"{path.name}: flip"
    else:
        choose.choice([flip_bit, truncate])(path, choose)
        said = path.name
    if choose.random() < 0.2:
        (save / f"extra{choose.choice([ESCAPE.replace('/', ''), ' x'])}").write_bytes(b"x")
    write_checksums(save)
    if choose.random() < 0.2:
        os.truncate(save / CHECKSUMS, 99)
    return f"checkpoint {path.relative_to(save)}: {said}"
