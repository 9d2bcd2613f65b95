"""Drains: files wait, and a client takes all of them to the store.

The title of a measure names the full size; a quick run has fewer files.
"""

import bench as framework
import peers
from bench import Backlog, side_by_side, takes


def drain(bench, name, title, kind, source, clients, rounds, peer_rounds=1000):
    """source: (files, bytes each, directories)."""
    with Backlog(bench, *source) as files:
        rows = side_by_side(bench, name, clients, kind, files, rounds, peer_rounds)
        return {"name": name, "title": title, "store": kind.name, "files": files.count,
                "size": files.size, "figure": "files_per_s", "unit": "files/s",
                "higher_is_better": True, "plot": "bars", "rows": rows}


@takes(300, 20)
def on_devstore(bench):
    clients = peers.everyone()
    clients.insert(1, peers.Spoolgate(name="spoolgate, journal on disk",
                                      state_parent=bench.options.disk))
    return drain(bench, "drain-10k-devstore", "Drain 10 000 x 4 KiB, devstore", framework.Counting,
                 (bench.scale(10000, 1000), 4096, 100), clients, bench.rounds())


@takes(360, 20)
def on_minio(bench):
    return drain(bench, "drain-10k-minio", "Drain 10 000 x 4 KiB, MinIO on tmpfs",
                 framework.OnMinio, (bench.scale(10000, 1000), 4096, 100), peers.everyone(),
                 bench.rounds())


@takes(180, 15)
def on_minio_disk(bench):
    return drain(bench, "drain-10k-minio-disk", "Drain 10 000 x 4 KiB, MinIO on disk",
                 framework.OnMinioDisk, (bench.scale(10000, 1000), 4096, 100), peers.each_tool(),
                 bench.rounds(3))


@takes(300, 20)
def many_on_devstore(bench):
    """mc and aws-cli would take minutes, and say what they say of 10 000."""
    return drain(bench, "drain-200k-devstore", "Drain 200 000 x 4 KiB, devstore",
                 framework.Counting, (bench.scale(200000, 2000), 4096, 1000), peers.everyone(),
                 bench.rounds(3), 1)


@takes(1000, 20)
def million_on_devstore(bench):
    return drain(bench, "drain-1m-devstore", "Drain 1 000 000 x 300 B, devstore",
                 framework.Counting, (bench.scale(1000000, 3000), 300, 1000), peers.everyone(),
                 bench.rounds(1), 1)


MEASURES = {"drain-10k-devstore": on_devstore, "drain-10k-minio": on_minio,
            "drain-10k-minio-disk": on_minio_disk, "drain-200k-devstore": many_on_devstore,
            "drain-1m-devstore": million_on_devstore}
