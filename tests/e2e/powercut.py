"""A disk whose power can fail at any moment, for what e2e scripts put on it. Imported, not run.

The disk is a file of a FUSE file system of our own, with a loop device on it. Its server sees each
write and each flush as a drive does, one after the other, and keeps two pictures: what was flushed,
and the writes since, which a drive may have in its cache only. So an image is taken between two
requests, in the middle of what the file system does, at once for the whole disk, and can be any that
a power cut may leave:

    all      every write that the drive had answered survived (a battery, a cache without loss)
    flushed  none survived that no flush covers
    some     of those writes some survived, in any order, and a few of them in part

    private_mounts()                                  # before any thread is started
    with Disk(96 << 20) as disk:
        disk.make("ext4")
        with mounted(disk.path, "/mnt", "ext4"):
            ...
            cut = disk.cut("some", seed, "/tmp/image")  # cut.ns: its moment, in ns since 1970
The server is a process of its own, and takes no file from the disk that it serves.
"""

import contextlib
import ctypes
import errno
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
import types

SECTOR = 512
CHUNK = 1 << 20
MAX_WRITE = 1 << 20
PATIENCE = 60  # a cut comes after fewer writes than this: the drive is seldom idle then
FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 18, 20, 25, 26, 36, 38, 42
WANTED = 1 << 0 | 1 << 5 | 1 << 22  # ASYNC_READ, BIG_WRITES, MAX_PAGES
FOPEN_DIRECT_IO = 1
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 0x20000, 0x4000, 1 << 18, 2, 4
PR_SET_IO_FLUSHER = 57

_libc = ctypes.CDLL(None, use_errno=True)


def _must(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def private_mounts():
    """What is mounted from now on is seen by this process and its children only, and is gone with
    the last of them, however they end."""
    _must(_libc.unshare(CLONE_NEWNS), "unshare")
    _must(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate")


class _Server:
    """The drive: one thread, one request after the other."""

    def __init__(self, size, fuse_fd, orders):
        self.size, self.fuse, self.orders = size, fuse_fd, orders
        self.now, self.durable = bytearray(size), bytearray(size)
        self.pending = []  # (offset, bytes) since the last flush
        self.touched = set()  # chunks that were ever written
        self.ordered, self.after, self.deadline = None, 0, 0.0  # the cut that is due

    def run(self):
        with contextlib.suppress(OSError, EOFError):
            while True:
                wait = max(0, self.deadline - time.monotonic()) if self.ordered else None
                ready, _, _ = select.select([self.fuse, self.orders], [], [], wait)
                if self.fuse in ready:
                    self.request(os.read(self.fuse, MAX_WRITE + 65536))
                if self.orders in ready:
                    line = self.orders.recv(65536)
                    if not line:
                        raise EOFError
                    self.ordered = json.loads(line)
                    self.after = random.Random(self.ordered["seed"]).randrange(PATIENCE)
                    self.deadline = time.monotonic() + 0.2
                if self.ordered and (self.after <= 0 or time.monotonic() >= self.deadline):
                    self.orders.send(json.dumps(self.cut(**self.ordered)).encode())
                    self.ordered = None

    # ---- what the kernel asks ----

    def attributes(self):
        return struct.pack("<QII6Q3I7I", 3600, 0, 0, 1, self.size, self.size // SECTOR, 0, 0, 0, 0, 0,
                           0, 0o100600, 1, 0, 0, 0, 4096, 0)

    def answer(self, unique, body=b"", error=0):
        try:
            os.write(self.fuse, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        except FileNotFoundError:
            pass  # who asked has been killed

    def request(self, data):
        _, opcode, unique = struct.unpack_from("<IIQ", data)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        body, error = b"", 0
        if opcode == WRITE:
            offset, size = struct.unpack_from("<QI", data, 48)
            self.write(offset, data[80:80 + size])
            body = struct.pack("<II", size, 0)
        elif opcode == READ:
            offset, size = struct.unpack_from("<QI", data, 48)
            body = bytes(self.now[offset:offset + size])
        elif opcode == FSYNC:
            self.flush()
        elif opcode in (GETATTR, SETATTR):
            body = self.attributes()
        elif opcode == INIT:
            major, minor, ahead, flags = struct.unpack_from("<IIII", data, 40)
            body = struct.pack("<IIIIHHIIHHIIIIIIII", major, min(minor, 31), ahead, flags & WANTED,
                               12, 9, MAX_WRITE, 1, MAX_WRITE // 4096, 0, 0, *[0] * 7)
        elif opcode == OPEN:
            body = struct.pack("<QII", 1, FOPEN_DIRECT_IO, 0)
        elif opcode == STATFS:
            body = struct.pack("<5Q10I", self.size // 4096, 0, 0, 1, 0, 4096, 255, 4096, *[0] * 7)
        elif opcode not in (RELEASE, FLUSH, DESTROY):
            error = errno.ENOSYS
        self.answer(unique, body, error)

    def write(self, offset, data):
        self.now[offset:offset + len(data)] = data
        self.pending.append((offset, data))
        self.touched.update(range(offset // CHUNK, (offset + len(data) - 1) // CHUNK + 1))
        self.after -= 1

    def flush(self):
        for offset, data in self.pending:
            self.durable[offset:offset + len(data)] = data
        self.pending.clear()

    # ---- what the test asks ----

    def cut(self, what, seed, path):
        ns, chance, kept = time.time_ns(), random.Random(seed), 0
        image = self.now
        if what != "all":
            image = self.durable
        if what == "some":
            image, share = bytearray(image), chance.choice((0.2, 0.5, 0.9))
            for offset, data in self.pending:
                if chance.random() >= share:
                    continue
                if chance.random() < 0.1:
                    data = data[:chance.randrange(len(data) // SECTOR + 1) * SECTOR]
                image[offset:offset + len(data)] = data
                kept += 1
        with open(path, "wb") as file:
            file.truncate(self.size)
            for chunk in sorted(self.touched):
                os.pwrite(file.fileno(), image[chunk * CHUNK:(chunk + 1) * CHUNK], chunk * CHUNK)
        return {"ns": ns, "pending": len(self.pending),
                "kept": len(self.pending) if what == "all" else kept}


class Disk:
    """with Disk(bytes) as disk: disk.path is a file of that size, to make a file system on and to
    mount by a loop device."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self._dir = tempfile.mkdtemp(prefix="spoolgate-disk-")
        self.path = os.path.join(self._dir, "disk")
        self._pid = 0
        try:
            open(self.path, "x").close()
            fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
            options = f"fd={fuse},rootmode=100000,user_id=0,group_id=0".encode()
            _must(_libc.mount(b"spoolgate-disk", self.path.encode(), b"fuse", MS_NOSUID | MS_NODEV,
                              options), "mounting the disk")
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._pid = os.fork()
            if self._pid == 0:
                self._serve(fuse, theirs)
            os.close(fuse)
            theirs.close()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _serve(self, fuse, orders):
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes when the disk is unmounted
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._orders.close()
            # Memory that it needs to take a write must not wait for that write.
            _libc.prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)
            _Server(self.size, fuse, orders).run()
        finally:
            os._exit(0)

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL, check=False)
        if self._pid:
            self._orders.close()
            os.waitpid(self._pid, 0)
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        os.rmdir(self._dir)

    def make(self, kind):
        """A new file system: ext4, xfs or btrfs."""
        force = {"ext4": ["-F", "-E", "nodiscard"], "xfs": ["-f", "-K"], "btrfs": ["-f", "-K"]}[kind]
        with contextlib.ExitStack() as stack:
            device = _loop(stack, self.path)
            subprocess.run([f"mkfs.{kind}", "-q", *force, device], check=True)

    def cut(self, what, seed, path):
        """The image that a power cut at this moment leaves, written to path."""
        self._orders.send(json.dumps({"what": what, "seed": seed, "path": path}).encode())
        return types.SimpleNamespace(**json.loads(self._orders.recv(65536)))


def _loop(stack, path):
    device = subprocess.run(["losetup", "--find", "--show", path], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    stack.callback(subprocess.run, ["losetup", "--detach", device], check=True)
    return device


@contextlib.contextmanager
def mounted(image, path, kind):
    """The file system in a file, mounted at path; its journal is replayed as after a power cut. The
    loop device goes with the mount."""
    # Several of one disk's images may be mounted beside it.
    options = "loop,nodev" + {"xfs": ",nouuid"}.get(kind, "")
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, image, path], check=True)
    try:
        yield path
    finally:
        for _ in range(50):  # a process that was killed a moment ago may still let go of it
            if subprocess.run(["umount", path], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", path], check=True)


def checked(image, kind):
    """What the file system's own checker says of an image that was unmounted in order; "" is good."""
    command = {"ext4": ["e2fsck", "-fn"], "xfs": ["xfs_repair", "-n", "-f"],
               "btrfs": ["btrfs", "check", "-q"]}[kind]
    done = subprocess.run([*command, image], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout[-1000:] + done.stderr[-1000:]
