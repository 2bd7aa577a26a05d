"""What can happen to a file of the save of step 2: (path, random numbers) -> None."""

import os


def flip_bit(path, choose):
    data = bytearray(path.read_bytes())
    bit = choose.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def truncate(path, choose):
    os.truncate(path, choose.randrange(path.stat().st_size))


def zero(path, choose):
    path.write_bytes(bytes(path.stat().st_size))


def delete(path, choose):
    path.unlink()


def swap(path, choose):
    save = next(p for p in path.parents if p.name == "00000002")
    others = [p for p in sorted(save.rglob("*")) if p.is_file()]
    others = [p for p in others if p.read_bytes() != path.read_bytes()]
    other = choose.choice(others)
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


HARMS = (flip_bit, truncate, zero, delete, swap)
