# SPDX-License-Identifier: Apache-2.0
"""hush: what the mount tests share. A store and a mount in a folder of their own, and named checks as TAP.

    with hush.Mount() as m:
        check("echo and cat", lambda: ...)
    hush.done()

A test touches only what it made: its folder under mktemp, its daemon (by pid), its mount.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("HUSH_BUILD") or os.path.join(os.path.dirname(__file__), "../../build/plain"))
SAN = os.environ.get("HUSH_SAN") == "1"
COUNTS = os.path.exists(os.path.join(BUILD, "tests/coverage/dump.o"))  # the build of make coverage
SOAK = os.environ.get("HUSH_SOAK") == "1"  # the long form
SLOW = float(os.environ.get("HUSH_SLOW") or 1)  # how many times longer everything takes: under valgrind, for instance
HUSHFS = os.path.join(BUILD, "hushfs")
HUSHCTL = os.path.join(BUILD, "hushctl")
FILL = os.path.join(BUILD, "tests/bench/fill")

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what a test made is taken away

_results = [0, 0]
_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def check(name, condition):
    """One named check: a bool, or a callable that returns one. An exception fails it and is shown."""
    try:
        ok = condition() if callable(condition) else condition
    except Exception as error:  # a check that can't be made has failed; the next ones still run
        figures(f"{name}: {type(error).__name__}: {error}")
        ok = False
    _results[0 if ok else 1] += 1
    print(f"{'ok' if ok else 'not ok'} {sum(_results)} - {name}", flush=True)
    return bool(ok)


def figures(text):
    """A line with numbers, shown by the runner."""
    print(f"# {text}", flush=True)


def done():
    """The plan, at the end, and the exit status."""
    print(f"1..{sum(_results)}")
    sys.exit(1 if _results[1] else 0)


def errno_of(call, *arguments, **named):
    """The errno with which a call fails, 0 if it doesn't."""
    try:
        call(*arguments, **named)
    except OSError as error:
        return error.errno
    return 0


def shell(command, **environment):
    """A command line as a user types it: (exit status, stdout, stderr)."""
    result = subprocess.run(["bash", "-c", command], capture_output=True, env={**os.environ, **environment})
    return result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")


def ctl(*arguments, input=None):
    """hushctl: (exit status, stdout, stderr)."""
    data = input.encode() if isinstance(input, str) else input
    where = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    result = subprocess.run([HUSHCTL, *arguments], capture_output=True, start_new_session=True, **where)
    return result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")


def is_mounted(path):
    path = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4].replace("\\040", " ") == path for line in mounts)


def fork(work, *arguments):
    """Run @work in a child process, whose exit status is 0 if it ends without an exception; its pid. It does not outlive this one."""
    pid = os.fork()
    if pid == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        status = 1
        try:
            work(*arguments)
            status = 0
        except BaseException as error:  # nothing of the parent's must run here
            os.write(1, f"# {work.__name__}: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    return pid


def end(pid):
    """Kill a child of ours and reap it."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def is_running(pid):
    """Not ended: a zombie has ended, whoever it is waiting for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(parent, name="hushfs"):
    """The pids of a process's children of that name that have not ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                head, _, tail = file.read().rpartition(")")
        except OSError:
            continue
        fields = tail.split()
        if fields[1] == str(parent) and fields[0] != "Z" and head.partition("(")[2] == name:
            found.append(int(pid))
    return sorted(found)


def is_worker(pid):
    """Else it is something that a sanitizer has started."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"\0--worker=" in file.read()
    except OSError:
        return False


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS:")).split()[1])


def cpu_seconds(pid):
    """Of all its threads, also those that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    """All that can be read of a process's memory, in parts."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            addresses, rights = line.split()[:2]
            start, end = (int(address, 16) for address in addresses.split("-"))
            if rights[0] != "r" or "[v" in line or (SAN and end - start > 1 << 32):
                continue
            try:
                memory.seek(start)
                part = b""
                while start + len(part) < end and (more := memory.read(min(end - start - len(part), 1 << 26))):
                    part += more
                yield part
            except (OSError, OverflowError):
                continue


def in_use(part, page=4096):
    """What is left of a part of memory without its pages of zeros: most of it under sanitizers."""
    zeros, begin = bytes(page), None
    for at in range(0, len(part), page):
        if part[at:at + page] == zeros:
            if begin is not None:
                yield part[begin:at]
            begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield part[begin:]


def found(pid, needles):
    """Which of the needles (text or bytes) are in a process's memory, and how many bytes were searched."""
    hits, size = set(), 0
    for part in memory_of(pid):
        size += len(part)
        for used in in_use(part):
            hits |= {needle for needle in needles if (needle.encode() if isinstance(needle, str) else needle) in used}
    return hits, size


class Mount:
    """A fresh store, its key file, and a daemon in front (so that its pid is ours to kill)."""

    def __init__(self, options="", start=True, folder=None, program=HUSHFS):
        self.folder = folder or tempfile.mkdtemp(prefix="hushfs-test-")
        self.owns_folder = folder is None
        self.store = os.path.join(self.folder, "store.db")
        self.key = os.path.join(self.folder, "key")
        self.path = os.path.join(self.folder, "mnt")
        self.log = os.path.join(self.folder, "log")
        self.options = options
        self.program = program
        self.daemon = None
        os.makedirs(self.path, exist_ok=True)
        if not os.path.exists(self.store):
            subprocess.run([HUSHCTL, "init", "--key-file", self.key, self.store], check=True)
        if start:
            try:
                self.start()
            except BaseException:  # __exit__ is for what was entered
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def secrets(self):
        return os.path.join(self.path, "meshes", "default", "secrets")

    @property
    def globals(self):
        return os.path.join(self.path, "global")

    def secret(self, name):
        return os.path.join(self.secrets, name)

    def start(self, seconds=20):
        options = f"key_file={self.key}" + ("," + self.options if self.options else "")
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen([self.program, "-f", "-o", options, self.store, self.path], stderr=log,
                                           stdin=subprocess.DEVNULL, stdout=log)
        # a mount that a dead daemon left there is one as well, of which the kernel may have kept names and attributes
        answers = lambda: is_mounted(self.path) and errno_of(os.statvfs, self.path) == 0
        if not wait_for(lambda: self.daemon.poll() is not None or answers(), seconds):
            raise RuntimeError("the daemon does not come up")
        if self.daemon.poll() is not None:
            raise RuntimeError("the daemon ended: " + self.log_text()[-500:])

    def fill(self, first, end, size):
        """Secrets s@first to s(@end - 1) of @size bytes "x", while it isn't mounted."""
        subprocess.run([FILL, self.store, self.key, str(first), str(end), str(size)], check=True)

    @property
    def memory_mib(self):
        """Of the daemon: its keeper, its worker and the worker's helpers."""
        worker = self.worker
        return sum(map(resident_kib, (self.daemon.pid, worker, *children(worker, "hushfs-helper")))) / 1024

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def unmount(self):
        """As a user does it; returns the daemon's exit status."""
        subprocess.run(["fusermount3", "-u", self.path], check=True)
        status = self.daemon.wait(20)
        self.daemon = None
        return status

    def remount(self):
        self.unmount()
        self.start()

    @property
    def workers(self):
        """The pids of the keeper's workers: one, but while another is about to take over."""
        return [pid for pid in children(self.daemon.pid) if is_worker(pid)]

    @property
    def worker(self):
        return self.workers[0]

    def kill_worker(self, number=signal.SIGKILL):
        """Kill the worker alone; its pid, or None if there was none just then."""
        for pid in self.workers:
            try:
                os.kill(pid, number)
                return pid
            except ProcessLookupError:
                pass
        return None

    def die(self, number=signal.SIGKILL):
        """Kill the daemon, all its processes; its mount is left behind. The keeper's status."""
        self.daemon.send_signal(signal.SIGSTOP)  # it is not to start another worker
        workers = self.workers
        helpers = [helper for worker in workers for helper in children(worker, "hushfs-helper")]
        self.daemon.send_signal(number)
        self.daemon.send_signal(signal.SIGCONT)
        if number == signal.SIGKILL:
            for pid in workers:
                os.kill(pid, number)
        status = self.daemon.wait(30)
        wait_for(lambda: not any(map(is_running, workers + helpers)))  # one of them has the connection, too
        self.daemon = None
        return status

    def kill(self, number=signal.SIGKILL):
        """Kill the daemon, and clear away the dead mount."""
        status = self.die(number)
        if is_mounted(self.path):
            _libc.umount2(self.path.encode(), 2)  # MNT_DETACH
        return status

    def close(self):
        if self.daemon:
            if self.daemon.poll() is None and is_mounted(self.path):
                _libc.umount2(self.path.encode(), 2)
            else:
                self.daemon.terminate()
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                for pid in [*self.workers, self.daemon.pid]:
                    os.kill(pid, signal.SIGKILL)
            self.daemon.wait(20)
            self.daemon = None
        if is_mounted(self.path):
            _libc.umount2(self.path.encode(), 2)
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def write(path, data, flags=0, mode=0o600):
    """open, truncate, write, close; errors of close are raised."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, mode)
    try:
        data = data.encode() if isinstance(data, str) else data
        while data:
            data = data[os.write(fd, data):]
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()
