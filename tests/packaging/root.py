# SPDX-License-Identifier: Apache-2.0
"""root: a fresh Debian in a folder, with systemd as its first process, in namespaces of its own.

    with root.Root() as debian:
        debian.run("apt-get", "install", "-y", "/hushfs.deb")
        debian.path("/etc/hushfs")          a path in it, seen from here

HUSH_ROOT_TAR=FILE: what debootstrap would make, as a tar. Everything is gone afterwards: processes, mounts, control groups, the folder.
"""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

PACKAGES = "ca-certificates,systemd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLEAN = ("env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
INIT = ("/lib/systemd/systemd", "--log-target=console", "--unit=multi-user.target")

# $1 the root, $2 the name of a control group that is made below the own one; then what is its first process.
# A namespace of control groups has the group it was made in as its root.
BOOT = r"""
set -e
root=$1 group=$2 own=$(sed -n s/^0:://p /proc/self/cgroup); shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t cgroup2 cgroup2 "$root/sys"
mkdir "$root/sys$own/$group"
echo $$ >"$root/sys$own/$group/cgroup.procs"
umount "$root/sys"
exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child bash -c '
	set -e
	root=$1; shift
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	node() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
	node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0; node fuse 10 229
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	hostname debian
	cd "$root"
	mkdir "$root/run/old"
	pivot_root . run/old
	umount -l run/old
	mount --make-rshared / # what a credential of a unit is mounted through
	exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
' bash "$root" "$@"
"""
# $1 a folder to mount on, $2 the group
UNGROUP = r"""
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1"
find "$1$(sed -n s/^0:://p /proc/self/cgroup)/$2" -depth -type d -exec rmdir {} +
"""


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


class Root:
    def __init__(self):
        self.outer = self.init = None
        self.systemd = False
        self.work = tempfile.mkdtemp(prefix="hushfs-test-", dir="/var/tmp")
        self.folder = os.path.join(self.work, "root")
        self.log = os.path.join(self.work, "log")
        self.group = os.path.basename(self.work)

    def __enter__(self):
        try:
            self.make()
        except BaseException:  # __exit__ is for what was entered
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, path):
        """The path of a file in it, also on what is mounted there."""
        return f"/proc/{self.init}/root{path}" if self.init else self.folder + path

    def make(self):
        """A minimal Debian of this machine's release, which gets its packages from where this machine gets them."""
        os.mkdir(self.folder)
        tar = os.environ.get("HUSH_ROOT_TAR")
        with open(self.log, "ab") as log:
            if tar:
                subprocess.run(["tar", "-C", self.folder, "-xf", tar], check=True)
            else:
                sources = "".join(open(name).read() for name in glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*"))
                mirrors = [word for word in sources.split() if word.startswith("http") and word.rstrip("/").endswith("/debian")]
                release = subprocess.run(["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"], capture_output=True, check=True)
                subprocess.run(["debootstrap", "--variant=minbase", "--include=" + PACKAGES, release.stdout.decode().strip(), self.folder, *mirrors[:1]],
                               check=True, stdout=log, stderr=log)
        for name in glob.glob(self.folder + "/etc/apt/sources.list*"):
            shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
        for name in glob.glob("/etc/apt/sources.list*"):
            (shutil.copytree if os.path.isdir(name) else shutil.copy)(name, self.folder + name)
        for name in glob.glob("/etc/apt/apt.conf.d/*"):
            if "Acquire::" in open(name).read():  # a proxy and the like
                shutil.copy(name, self.folder + name)
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(name, self.folder + name)
        apt = ["chroot", self.folder, *CLEAN, "apt-get", "-qq"]
        with open(self.log, "ab") as log:
            subprocess.run([*apt, "update"], check=True, stdout=log, stderr=log)
            subprocess.run([*apt, "install", "-y", "--no-install-recommends", *PACKAGES.split(",")], check=True, stdout=log, stderr=log)
        with open(self.folder + "/etc/machine-id", "w") as file:
            file.write("")

    def start(self, *first):
        with open(self.log, "ab") as log:
            self.outer = subprocess.Popen(["unshare", "--mount", "bash", "-c", BOOT, "bash", self.folder, self.group, *first],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.first_process() or self.outer.poll() is not None, 20)
        self.init = self.first_process()

    def first_process(self):
        """The child of unshare, once it is what it was told to be."""
        try:
            with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children") as file:
                pid = file.read().split()[0]
            with open(f"/proc/{pid}/comm") as file:
                return int(pid) if file.read() in ("systemd\n", "sleep\n") else None
        except (OSError, IndexError):
            return None

    def boot(self):
        """Has systemd come up in it? If not, it has a first process that does nothing."""
        self.start(*INIT)
        self.systemd = bool(self.init) and wait_for(
            lambda: self.run("systemctl", "is-system-running")[1].strip() in ("running", "degraded"), 60)
        if not self.systemd:
            self.end()
            self.start("sleep", "infinity")
        return self.systemd

    def run(self, *command, input=None):
        """A command in it, as root: (exit status, stdout and stderr)"""
        where = {"stdin": subprocess.DEVNULL} if input is None else {"input": input.encode()}
        result = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-p", "-C", "-u", "-i", "-r", "-w", *CLEAN, *command],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, **where)
        return result.returncode, result.stdout.decode(errors="replace")

    def end(self):
        if self.outer:
            for pid in filter(None, (self.init, self.outer.pid)):  # the end of the first process is that of all others
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.outer.wait(60)
            os.makedirs(self.work + "/group", exist_ok=True)
            wait_for(lambda: subprocess.run(["unshare", "--mount", "bash", "-c", UNGROUP, "bash", self.work + "/group", self.group],
                                            stderr=subprocess.DEVNULL).returncode == 0, 10)
        self.outer = self.init = None

    def close(self):
        self.end()
        subprocess.run(["rm", "-rf", "--one-file-system", self.work])
