"""An object store of this process, with faults when they are asked for."""

import datetime
import threading

from cnn_jax.runtime.stores.store import Store


class Killed(BaseException):
    """The process ends here."""


class MemoryFiles:
    """What `Store` asks of fsspec's file systems; a request that changes something is atomic.

    `kill_at` is the number of the changing request before which the process ends, and `fail` is
    called with the name of every request: what it raises is that request's answer.
    """

    def __init__(self):
        self.objects: dict[str, tuple[bytes, int, datetime.datetime]] = {}
        self.changes = 0
        self.kill_at: int | None = None
        self.fail = lambda request: None
        self.lock = threading.Lock()
        self.offset = datetime.timedelta()

    def now(self):
        return datetime.datetime.now(datetime.UTC) + self.offset

    def change(self, request, path, data=None, create=False):
        self.fail(request)
        with self.lock:
            if self.changes == self.kill_at:
                raise Killed
            if create and path in self.objects:
                raise FileExistsError(path)
            self.changes += 1
            if data is None:
                if path not in self.objects:
                    raise FileNotFoundError(path)
                del self.objects[path]
            else:
                self.objects[path] = data, self.changes, self.now()

    def invalidate_cache(self):
        pass

    def find(self, path, detail):
        assert detail
        self.fail("find")
        with self.lock:
            return {
                name: {"size": len(data), "ETag": f"{version}", "LastModified": modified}
                for name, (data, version, modified) in self.objects.items()
                if name.startswith(f"{path}/")
            }

    def cat_file(self, path):
        self.fail("cat_file")
        with self.lock:
            if path not in self.objects:
                raise FileNotFoundError(path)
            return self.objects[path][0]

    def get_file(self, path, local):
        data = self.cat_file(path)
        with open(local, "wb") as file:
            file.write(data)

    def pipe_file(self, path, data, mode="overwrite"):
        self.change("pipe_file", path, data, create=mode == "create")

    def put_file(self, local, path):
        with open(local, "rb") as file:
            self.change("put_file", path, file.read())

    def cp_file(self, path, other):
        self.change("cp_file", other, self.cat_file(path))

    def rm_file(self, path):
        self.change("rm_file", path)


def memory_store(files=None, root="bucket/run"):
    return Store(files or MemoryFiles(), root, f"s3://{root}")
