"""Drains: files wait, and a client takes all of them to the store."""

import bench as framework
import peers
from bench import Backlog, side_by_side, takes


def drain(bench, name, title, kind, backlog, rounds, clients):
    count, size, directories = backlog
    with Backlog(bench, count, size, directories) as source:
        return {"name": name, "title": title.format(f"{count:,}".replace(",", " "), size),
                "store": kind.name, "figure": "files_per_s", "unit": "files/s",
                "higher_is_better": True, "plot": "bars",
                "rows": side_by_side(bench, name, clients, kind, source, rounds)}


@takes(300, 20)
def on_devstore(bench):
    return drain(bench, "drain-10k-devstore", "Drain {} x {} B", framework.Counting,
                 (bench.scale(10000, 2000), 4096, 100), bench.rounds(5),
                 peers.everyone())


@takes(300, 20)
def on_minio(bench):
    return drain(bench, "drain-10k-minio", "Drain {} x {} B", framework.OnMinio,
                 (bench.scale(10000, 2000), 4096, 100), bench.rounds(5),
                 peers.everyone())


MEASURES = {"drain-10k-devstore": on_devstore, "drain-10k-minio": on_minio}
