# SPDX-License-Identifier: Apache-2.0
"""contest: filesystems side by side, and how they are measured. Each is mounted in a folder of its own, and measured in turns with the others:
these machines are noisy, so only what was measured in one run is compared, as the ratio of medians."""
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../mount"))
import hush  # noqa: E402

MEASURE = os.path.join(hush.BUILD, "tests/bench/measure")
FLOOR = os.path.join(hush.BUILD, "tests/bench/floor")
SECRETS, BYTES = 1000, 1024
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Contestant:
    """@name, and @folder, in which s0, s1, ... are. @durable: what makes a change durable is its close, or fsync."""
    durable = "fsync"

    def __init__(self, base):
        self.base = os.path.join(base, self.name)
        self.mountpoint = self.folder = os.path.join(self.base, "mnt")
        self.data = os.path.join(self.base, "data")
        os.makedirs(self.mountpoint)
        os.makedirs(self.data)
        self.daemon = None
        self.start()
        if not hush.wait_for(lambda: hush.is_mounted(self.mountpoint)):
            raise RuntimeError(f"{self.name} does not come up")

    def serve(self, *command):
        self.daemon = subprocess.Popen(command, **QUIET)

    def fill(self, count, size):
        for number in range(count):
            hush.write(os.path.join(self.folder, f"s{number}"), b"x" * size)

    def turn(self, work):
        return work(self)

    def close(self):
        subprocess.run(["umount", "-l", self.mountpoint], check=False, **QUIET)
        if self.daemon:
            self.daemon.wait(20)


class Hushfs(Contestant):
    name, durable = "hushfs", "close"

    def __init__(self, base):
        self.mount = hush.Mount(folder=os.path.join(base, "hushfs"))
        self.folder = self.mount.secrets

    def close(self):
        self.mount.unmount()


class Floor(Contestant):
    """What FUSE itself costs, with libfuse's own loop. It has its files from the start."""
    name = "floor"

    def start(self):
        self.serve(FLOOR, str(SECRETS), str(BYTES), self.mountpoint)

    def fill(self, count, size):
        pass


class Journal(Floor):
    """What FUSE and the disk cost: the floor with one block and one sync for each write."""
    name, durable = "journal", "close"

    def start(self):
        self.serve(FLOOR, str(SECRETS), str(BYTES), self.mountpoint, os.path.join(self.data, "journal"))


class Spin(Floor):
    """The floor with one thread that never sleeps; stopped but in its turn, as it would take a processor from the others."""
    name = "spin"

    def start(self):
        self.serve(FLOOR, str(SECRETS), str(BYTES), self.mountpoint, "spin")

    def fill(self, count, size):
        self.daemon.send_signal(signal.SIGSTOP)

    def turn(self, work):
        self.daemon.send_signal(signal.SIGCONT)
        result = work(self)
        self.daemon.send_signal(signal.SIGSTOP)
        return result

    def close(self):
        self.daemon.send_signal(signal.SIGCONT)
        super().close()


class Gocryptfs(Contestant):
    name = "gocryptfs"

    def start(self):
        password = os.path.join(self.base, "password")
        hush.write(password, "password\n")
        subprocess.run(["gocryptfs", "-init", "-q", "-scryptn", "10", "-passfile", password, self.data], check=True, **QUIET)
        self.serve("gocryptfs", "-fg", "-q", "-passfile", password, self.data, self.mountpoint)


class Securefs(Contestant):
    name = "securefs"

    def start(self):
        subprocess.run(["securefs", "create", "--rounds", "1", "--pass", "password", self.data], check=True, **QUIET)
        self.serve("securefs", "mount", "--pass", "password", self.data, self.mountpoint)


class Bindfs(Contestant):
    name = "bindfs"

    def start(self):
        self.serve("bindfs", "-f", self.data, self.mountpoint)


class Tmpfs(Contestant):
    name = "tmpfs"

    def start(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", self.mountpoint], check=True)


def measure(what, contestant, count, processes=1, files=SECRETS, size=BYTES):
    """(median in us, p99 in us, a second)"""
    out = subprocess.run([MEASURE, what, contestant.folder, str(files), str(size), str(count), str(processes)], check=True,
                         capture_output=True, text=True).stdout
    return tuple(float(number) for number in out.split())


def in_turns(rounds, work, contestants):
    """{name: (median, p99, rate)} of @work(contestant), the medians of @rounds in which everybody has a turn, in changing order."""
    results = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in random.sample(contestants, len(contestants)):
            results[contestant.name].append(contestant.turn(work))
    return {name: tuple(statistics.median(column) for column in zip(*rows)) for name, rows in results.items()}


class Contest:
    """Contestants in a folder that goes when it is over."""

    def __init__(self, kinds, place=None):
        self.base = tempfile.mkdtemp(prefix="hushfs-bench-", dir=place)
        self.contestants = []
        try:
            for kind in kinds:
                self.contestants.append(kind(self.base))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fill(self, count=SECRETS, size=BYTES):
        for contestant in self.contestants:
            contestant.fill(count, size)

    def close(self):
        for contestant in self.contestants:
            contestant.close()
        shutil.rmtree(self.base, ignore_errors=True)
