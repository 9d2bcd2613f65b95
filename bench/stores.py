"""Stores that tell what they stored and when: devstore that counts, plain, behind TLS; MinIO on tmpfs
and on a disk.

A store is made with a directory of its own and used in a with statement. store is what lib.py has of
it; verify() says what has become of what was expected: {path: (size, sha256, md5)}.
"""

import contextlib
import datetime
import hashlib
import json
import os
import ssl
import subprocess
import tempfile
import time
import urllib.request

import lib

# The grain of a file's change time: CLOCK_REALTIME_COARSE, which Python does not name.
TICK_NS = round(time.clock_getres(5) * 1e9)


class Counting:
    """devstore, which keeps no bytes, and logs the moment and the SHA-256 of each first put.
    strict: as a client of spoolgate's manners finds it; else it also takes aws-chunked bodies and
    unsigned payloads. Every client has to send the ACL."""

    name = "devstore"
    options = ()

    def __init__(self, directory, strict=True):
        self.log = os.path.join(directory, "keys.log")
        self.store = self.make(directory, "--count", "--no-md5", "--log-keys", self.log,
                               "--require-acl", *([] if strict else ["--lenient"]), *self.options)

    @staticmethod
    def make(directory, *options):
        return lib.Devstore(*options)

    def __enter__(self):
        self.store.__enter__()
        return self

    def __exit__(self, *what):
        self.store.__exit__(*what)

    def rows(self):
        """{key: (ns since 1970, size, sha256 or "-")}"""
        with open(self.log) as file:
            rows = (line.rstrip("\n").split("\t") for line in file)
            return {row[1]: (int(row[0]), int(row[2]), row[3]) for row in rows}

    def arrived(self, keys):
        """{key: ns since 1970} of those that are there."""
        return {key: row[0] for key, row in self.rows().items() if key in keys}

    moments = arrived

    def judge(self, dropped, others):
        """Figures. dropped: {key: (ns, size, sha256)}; others: keys that may be there besides."""
        rows, stats = self.rows(), self.store.stats()
        figures = compared({key: row[1:] for key, row in rows.items()}, dropped, others)
        figures["differing"] += stats["repeated_other"]
        return {**figures, **traffic(stats)}

    def verify(self, expected, path=None):
        """Moments of all that was stored, and figures: missing, differing, requests, … Of an
        object in parts the ETag is compared with that of the file below path."""
        rows, stats, differing = self.rows(), self.store.stats(), 0
        for key, (size, sha256, _) in expected.items():
            _, got_size, digest = rows.get(key, (0, size, sha256.hex()))
            if digest == "-" and got_size == size:
                etag = self.store.keys()[key][2]
                differing += etag not in parts_etags(
                    os.path.join(path, key), etag, hashlib.sha256, (hashlib.sha256, hashlib.md5))
            else:
                differing += (got_size, digest) != (size, sha256.hex())
        return [row[0] for row in rows.values()], {
            "missing": len(expected.keys() - rows.keys()),
            "differing": differing + stats["repeated_other"],
            "extra": len(rows.keys() - expected.keys()),
            "without_acl": stats["puts_without_acl"], **traffic(stats)}


def compared(got, dropped, others):
    """got: {key: (size, sha256)}; the others are Counting.judge's."""
    return {"missing": len(dropped.keys() - got.keys()),
            "differing": sum(got[key] != row[1:] for key, row in dropped.items() if key in got),
            "extra": len(got.keys() - dropped.keys() - others.keys())}


def traffic(stats):
    """What devstore counted of a client. It does not count the question for its statistics, but the
    connection on which that came."""
    return {"requests": stats["requests"], "connections": stats["connections_total"] - 1}


def parts_etags(path, etag, outer, inners):
    """ETags that an object in parts may have: the part size is unknown, but some whole MiB. devstore
    without MD5 digests a part by SHA-256, unless the client sent its MD5."""
    size, parts = os.path.getsize(path), int(etag.rsplit("-")[1])
    sizes = [mib << 20 for mib in range(1, (size >> 20) + 1) if -(-size // (mib << 20)) == parts]
    usual = [n for n in sizes if n >> 20 in (5, 8, 16, 32, 50, 64, 128)]
    found = []
    for part_size in usual or sizes[:8]:
        wholes, holes = [outer() for _ in inners], {}
        with open(path, "rb") as file:
            while piece := file.read(part_size):
                for whole, digest in zip(wholes, part_digests(piece, inners, holes)):
                    whole.update(digest)
        found += [f"{whole.hexdigest()[:32]}-{parts}" for whole in wholes]
    return found


def part_digests(piece, inners, holes):
    """A file that is a hole has the same part again and again."""
    hole = not any(piece[:4096]) and piece == bytes(len(piece))
    if hole and len(piece) in holes:
        return holes[len(piece)]
    digests = [inner(piece).digest()[:16] for inner in inners]
    if hole:
        holes[len(piece)] = digests
    return digests


class CountingTls(Counting):
    """devstore behind TLS, with a certificate of an authority of its own."""

    name = "devstore, TLS"

    @staticmethod
    def make(directory, *options):
        class Tls(lib.Devstore):
            ca = os.path.join(directory, "ca.pem")

            def _admin(self, method, path, body=None):
                with urllib.request.urlopen(
                        f"{self.url}/_devstore/{path}", body, timeout=60,
                        context=ssl.create_default_context(cafile=self.ca)) as answer:
                    return answer.read().decode()

        make_certificate(directory)
        return Tls(*options, "--tls", f"{directory}/server.pem", f"{directory}/server.key")


def make_certificate(directory):
    """ca.pem, and server.pem with server.key signed by it, for 127.0.0.1."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for arguments in (
            ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj",
             "/CN=bench authority"],
            ["req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
            ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
             "-CAcreateserial", "-out", "server.pem", "-days", "30", "-extfile", "names"]):
        with open(os.path.join(directory, "names"), "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)


class OnMinio:
    """MinIO on tmpfs. An object's moment is the change time of its xl.meta, set by the rename that
    makes it visible; it has the grain of the kernel's tick."""

    name = "MinIO on tmpfs"

    def __init__(self, directory, strict=True):
        class Minio(lib.Minio):
            def make_bucket(self):
                run_mc(self, "mb", "--region", self.region, f"bench/{self.bucket}")
        self.parent = os.path.dirname(directory)
        self.store = Minio()

    def __enter__(self):
        default, tempfile.tempdir = tempfile.gettempdir(), self.parent
        try:
            self.store.__enter__()
        finally:
            tempfile.tempdir = default
        self.root = os.path.join(self.store.directory, "data", self.store.bucket)
        return self

    def __exit__(self, *what):
        self.store.__exit__(*what)

    def listed(self):
        """Its objects, as mc tells them: key, size, etag, lastModified, …"""
        return map(json.loads, run_mc(self.store, "ls", "--recursive", "--json",
                                      f"bench/{self.store.bucket}").splitlines())

    def arrived(self, keys):
        """As Counting.arrived; rounded up to the next tick, so that none comes before it was made."""
        found = {}
        for key in keys:
            with contextlib.suppress(OSError):
                path = os.path.join(self.root, key, "xl.meta")
                found[key] = os.stat(path).st_ctime_ns + TICK_NS
        return found

    def moments(self, keys):
        """On a busy machine a tick may come late. MinIO's own time of an object is exact, and from
        shortly before the file is there: the later of the two is nearer."""
        found = self.arrived(keys)
        for row in self.listed():
            if row["key"] in found:
                at = datetime.datetime.fromisoformat(row["lastModified"])
                found[row["key"]] = max(found[row["key"]], round(at.timestamp() * 1e3) * 10**6)
        return found

    def judge(self, dropped, others):
        return compared(self.store.objects(), dropped, others)

    def verify(self, expected, path=None):
        """As Counting.verify. A plain ETag is the MD5 of the bytes."""
        rows = {row["key"]: (row["size"], row["etag"]) for row in self.listed()}
        differing = 0
        for key in expected.keys() & rows.keys():
            (size, _, md5), (got_size, etag) = expected[key], rows[key]
            whole = [md5.hex()] if "-" not in etag else parts_etags(
                os.path.join(path, key), etag, hashlib.md5, (hashlib.md5,)) if got_size == size else []
            differing += got_size != size or etag not in whole
        moments = [os.stat(os.path.join(self.root, key, "xl.meta")).st_ctime_ns for key in rows]
        return moments, {"missing": len(expected.keys() - rows.keys()), "differing": differing,
                         "extra": len(rows.keys() - expected.keys())}


class OnMinioDisk(OnMinio):
    name = "MinIO on disk"
    on_disk = True


def run_mc(store, *arguments):
    """MinIO's client as its administrator; what it prints."""
    host = f"http://{store.access_key}:{store.secret_key}@127.0.0.1:{store.port}"
    done = subprocess.run(
        [os.path.join(lib.CACHE, "bin/mc"), "--quiet", *arguments], capture_output=True, text=True,
        env=lib.clean_environment(HOME=store.directory, MC_HOST_bench=host))
    if done.returncode:
        raise RuntimeError(f"mc {arguments[0]}: {done.stderr or done.stdout}")
    return done.stdout
