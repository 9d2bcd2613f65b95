"""Large files: one of 1 GiB, one of 10 GiB that is a hole, and a thousand of 1 MiB."""

import hashlib
import os

import bench as framework
import lib
import peers
from bench import Backlog, event, side_by_side, takes

MIB = 1 << 20


class Lines(Backlog):
    """Files of many lines of JSON."""

    def data(self, number):
        block = event(number, 1024)
        return block * (self.size // len(block))


class OneFile(Backlog):
    """One file, of lines of JSON of which no two MiB are the same, or a hole."""

    large = True

    def __init__(self, bench, size, hole=False):
        super().__init__(bench, 1, size, 1)
        self.hole = hole

    def _write(self, root, expected):
        path = lib.key("large", "one.ndjson")
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full))
        sha256, md5 = hashlib.sha256(), hashlib.md5()
        with open(full, "wb", buffering=0) as file:
            for number in range(self.size // MIB):
                piece = bytes(MIB) if self.hole else event(number, 1024) * 1024
                if not self.hole:
                    file.write(piece)
                if expected is not None:
                    sha256.update(piece)
                    md5.update(piece)
            file.truncate(self.size)
        if expected is not None:
            expected[path] = (self.size, sha256.digest(), md5.digest())


def one_file(bench, name, title, kind, source, clients, rounds, peer_rounds=1000):
    with source as files:
        rows = side_by_side(bench, name, clients, kind, files, rounds, peer_rounds)
        return {"name": name, "title": title, "store": kind.name, "bytes": files.size,
                "figure": "seconds", "unit": "s", "higher_is_better": False, "plot": "bars",
                "rows": rows}


def clients():
    """The checked content costs ours a look at every line; that of a hole would not pass."""
    return [peers.Spoolgate(),
            peers.Spoolgate(name="spoolgate, any content", config={"content": "any"}),
            peers.S5cmd(), peers.Rclone(), peers.McCp(), peers.Aws()]


@takes(150, 8)
def gib_on_devstore(bench):
    return one_file(bench, "large-1g-devstore", "One file of 1 GiB, devstore", framework.Counting,
                    OneFile(bench, bench.scale(1024, 128) * MIB), clients(), bench.rounds(3))


@takes(150, 10)
def gib_on_minio(bench):
    return one_file(bench, "large-1g-minio", "One file of 1 GiB, MinIO on tmpfs",
                    framework.OnMinio, OneFile(bench, bench.scale(1024, 128) * MIB),
                    [*clients(), peers.McCpSha256()],
                    bench.rounds(3))


@takes(300, 8)
def hole_on_devstore(bench):
    return one_file(bench, "large-10g-devstore", "One sparse file of 10 GiB, devstore",
                    framework.Counting, OneFile(bench, bench.scale(10240, 256) * MIB, hole=True),
                    clients()[1:], bench.rounds(3), 1)


def thousand(bench, name, title, kind, rounds):
    with Lines(bench, bench.scale(1000, 50), MIB, 10) as files:
        rows = side_by_side(bench, name, peers.everyone(), kind, files, rounds)
        return {"name": name, "title": title, "store": kind.name, "files": files.count,
                "figure": "files_per_s", "unit": "files/s", "higher_is_better": True,
                "plot": "bars", "rows": rows}


@takes(250, 10)
def thousand_on_devstore(bench):
    return thousand(bench, "large-1000x1m-devstore", "1 000 files of 1 MiB, devstore",
                    framework.Counting, bench.rounds(5))


@takes(180, 12)
def thousand_on_minio(bench):
    return thousand(bench, "large-1000x1m-minio", "1 000 files of 1 MiB, MinIO on tmpfs",
                    framework.OnMinio, bench.rounds(3))


MEASURES = {"large-1g-devstore": gib_on_devstore, "large-1g-minio": gib_on_minio,
            "large-10g-devstore": hole_on_devstore,
            "large-1000x1m-devstore": thousand_on_devstore,
            "large-1000x1m-minio": thousand_on_minio}
