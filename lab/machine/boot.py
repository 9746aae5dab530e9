"""The first process of a node of the lab: lays its file systems, does what cloud-init does, and keeps its services.

It is started in namespaces of its own (mount, network, processes, names). When it ends, the kernel ends all of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from lab.machine import commands
from lab.machine.init import Manager

OVERLAID = ("etc", "home", "opt", "root", "srv", "tmp", "usr", "var")
"""Folders of this machine that a node's own lie over."""

STAND_INS = ("dnf", "docker", "rpm", "systemctl")
"""Programs of ``lab.machine.commands``."""

OWN = "/usr/local/lib/mlops-ha-lab"
"""What of the lab lies in a node: programs that nobody calls by their name alone, and units that packages bring."""

DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
"""Memory devices by their minor number (https://www.kernel.org/doc/html/latest/admin-guide/devices.html)."""

LOOP_CONFIGURE, LOOP_GET_FREE, LOOP_AUTOCLEAR = 0x4C0A, 0x4C82, 4
"""From linux/loop.h."""

DOCKER_UNIT = f"""\
[Unit]
Description=Stands in for Docker's daemon
[Service]
Type=exec
ExecStart={OWN}/dockerd
Restart=always
[Install]
WantedBy=multi-user.target
"""

MOUNT = f"""\
#!/bin/sh
# A network file system is a folder of the region; everything else is mounted as it is.
if [ "$1" = -t ] && [ "$2" = efs ]; then
  for last; do :; done
  while [ $# -gt 2 ]; do shift; done
  exec {OWN}/mount --bind "/mnt/file-systems/${{1%%:*}}" "$last"
fi
exec {OWN}/mount "$@"
"""


def main() -> None:
    """Be a node until told to end.

    The arguments are a socket's number and the path of a JSON object: ``name``, ``folder`` (what outlives a start),
    ``volume`` (the data volume's file or null), ``hosts``, ``images`` (digest by repository), ``programs`` (path by
    name, of images), ``job_programs`` (those of jobs, found on PATH), ``packages``, ``accounts`` (that are the
    platform's to make), ``environment`` (of every service), ``user_data``, ``python``, ``hostname``, and
    ``authority`` (a certificate that is trusted).
    """
    channel = socket.socket(fileno=int(sys.argv[1]))
    plan: dict[str, Any] = json.loads(Path(sys.argv[2]).read_text())
    # The process's id goes with it, as whoever reads it knows the process.
    channel.sendall(b"here")
    folder = Path(plan["folder"])
    fresh = not (folder / "root").exists()
    lay(folder)
    devices(plan["volume"])
    Path("/run/lab").mkdir(parents=True)
    Path(commands.PLAN).write_text(json.dumps(plan))
    if fresh:
        furnish(plan)
    # Addresses may have changed, names too.
    Path("/etc/hosts").write_text(plan["hosts"])
    socket.sethostname(plan["hostname"])
    os.environ.clear()
    journal = folder / "journal"
    journal.mkdir(exist_ok=True)
    manager = Manager(str(journal), plan["environment"])
    threading.Thread(target=manager.processes.bury, daemon=True).start()
    if channel.recv(16) != b"network":
        os._exit(1)
    manager.read()
    threading.Thread(target=manager.serve, daemon=True).start()
    if fresh:
        cloud_init(plan["user_data"], manager)
    else:
        manager.start_wanted()
    channel.sendall(b"booted")
    # Told to shut down, or nobody is there any more.
    if channel.recv(16) == b"stop":
        manager.stop_all()
    os._exit(0)


def mount(*arguments: str) -> None:
    """Mount a file system."""
    subprocess.run([shutil.which("mount", path="/usr/bin:/bin") or "mount", *arguments], check=True)


def lay(folder: Path) -> None:
    """Lay the node's own files over the machine's; memory where a start leaves nothing."""
    for name in OVERLAID:
        if not Path("/", name).is_dir():
            continue
        upper, work = folder / "root" / name, folder / "work" / name
        upper.mkdir(parents=True, exist_ok=True)
        # The upper folder's own mode and owner are what is seen: /tmp is everyone's, /root is not.
        shutil.copystat(f"/{name}", upper)
        if name == "root":
            # Python and the tools may lie below it, and services that are not root run them.
            upper.chmod(0o711)
        # What a kill left there is of no use.
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mount("-t", "overlay", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", f"/{name}")
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    mount("-t", "sysfs", "sysfs", "/sys")
    control_groups()


def control_groups() -> None:
    """Have files where control groups would be, which bound nothing: real ones would outlive the node.

    Nomad takes them for those of version 1, writes the processes of a task down in them, and finds them there again.
    """
    root = Path("/sys/fs/cgroup")
    mount("-t", "tmpfs", "tmpfs", str(root))
    for name in ("cpu", "cpuset", "freezer", "memory"):
        (root / name).mkdir()
    (root / "cpuset" / "cpuset.cpus").write_text(f"0-{(os.cpu_count() or 1) - 1}\n")
    (root / "cpuset" / "cpuset.mems").write_text("0\n")


def devices(volume: str | None) -> None:
    """Make the devices of a node, its data volume among them: a file that the kernel lets go of with the node."""
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/dev")
    for name, minor in DEVICES.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
        Path("/dev", name).chmod(0o666)
    os.mknod("/dev/tty", stat.S_IFCHR | 0o666, os.makedev(5, 0))
    for name in ("pts", "shm"):
        Path("/dev", name).mkdir()
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", "/dev/pts")
    mount("-t", "tmpfs", "tmpfs", "/dev/shm")  # noqa: S108  (a file system, not a file)
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        Path("/dev", name).symlink_to(target)
    Path("/dev/stderr").symlink_to("fd/2")
    if volume is not None:
        os.mknod("/dev/sdf", stat.S_IFBLK | 0o660, os.makedev(7, loop_device(Path(volume))))


def loop_device(file: Path) -> int:
    """Make a file a device and return its minor number; it is one as long as this process or a mount has it open."""
    os.mknod("/dev/loop-control", stat.S_IFCHR | 0o600, os.makedev(10, 237))
    control = os.open("/dev/loop-control", os.O_RDWR)
    backing = os.open(file, os.O_RDWR)
    # struct loop_config: descriptor, block size, struct loop_info64 with its flags, eight reserved numbers.
    configuration = struct.pack("II", backing, 0) + struct.pack("QQQQQIIII", 0, 0, 0, 0, 0, 0, 0, 0, LOOP_AUTOCLEAR)
    configuration = configuration.ljust(304, b"\0")
    while True:
        number = fcntl.ioctl(control, LOOP_GET_FREE)
        place = Path(f"/dev/loop{number}")
        if not place.exists():
            os.mknod(place, stat.S_IFBLK | 0o600, os.makedev(7, number))
        device = os.open(place, os.O_RDWR)
        try:
            fcntl.ioctl(device, LOOP_CONFIGURE, configuration)
        except OSError:
            # Another node was faster.
            os.close(device)
            continue
        os.close(control)
        os.close(backing)
        place.unlink()
        Path("/dev/loop-control").unlink()
        return number


def furnish(plan: dict[str, Any]) -> None:
    """Put the lab's programs where a machine of AWS has those that they stand in for."""
    own = Path(OWN)
    own.mkdir(parents=True)
    root = Path(__file__).parents[2]
    begin = f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
    shutil.copy2("/usr/bin/mount", own / "mount")
    for name in STAND_INS:
        _program(name, f"{begin}from lab.machine.commands import main\nmain({name!r})\n")
    _program("aws", f"{begin}from lab.machine.aws import main\nmain()\n")
    _program("mount", MOUNT)
    for name, program in plan["job_programs"].items():
        place = Path("/usr/local/bin", name)
        place.unlink(missing_ok=True)
        place.symlink_to(program)
    # Amazon Linux's own Python.
    place = Path("/usr/bin/python3")
    place.unlink(missing_ok=True)
    place.symlink_to(plan["python"])
    _executable(own / "dockerd", f"#!/bin/sh\n: > {commands.DOCKER_SOCKET}\nexec /usr/bin/sleep infinity\n")
    (own / "docker.service").write_text(DOCKER_UNIT)
    _executable(own / "grafana", f"{begin}from lab.machine.grafana import main\nmain()\n")
    Path("/etc/machine-id").write_text(f"{os.urandom(16).hex()}\n")
    # Nothing is looked up outside of the lab.
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    with Path("/etc/ssl/certs/ca-certificates.crt").open("a") as trusted:
        trusted.write(plan["authority"])
    # Packages of this machine made accounts that a machine of AWS does not have.
    for name in ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"):
        lines = Path(name).read_text().splitlines(keepends=True)
        Path(name).write_text("".join(line for line in lines if line.partition(":")[0] not in plan["accounts"]))
    for name in ("/var/lib/cloud", "/var/lib/rpm"):
        Path(name).mkdir(parents=True, exist_ok=True)


def _program(name: str, text: str) -> None:
    for folder in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"):
        Path(folder, name).unlink(missing_ok=True)
    _executable(Path("/usr/bin", name), text)


def _executable(place: Path, text: str) -> None:
    place.write_text(text)
    place.chmod(0o755)


def cloud_init(user_data: dict[str, Any], manager: Manager) -> None:
    """Do what the user data says: files, then commands, each a list of words (https://cloudinit.readthedocs.io)."""
    unknown = user_data.keys() - {"write_files", "runcmd"}
    if unknown:
        raise ValueError(f"user data has {', '.join(sorted(unknown))}, not known here")
    for file in user_data.get("write_files", []):
        unknown = file.keys() - {"path", "content", "permissions", "owner"}
        if unknown:
            raise ValueError(f"a file of the user data has {', '.join(sorted(unknown))}, not known here")
        place = Path(file["path"])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file["content"])
        place.chmod(int(file.get("permissions", "0644"), 8))
        shutil.chown(place, *file.get("owner", "root:root").split(":"))
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **manager.environment}
    for command in user_data.get("runcmd", []):
        with Path(manager.journal, "cloud-init.log").open("ab") as journal:
            words = [str(word) for word in command]
            process = manager.processes.start(words, env=environment, stdout=journal, stderr=journal)
        manager.processes.wait(process)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    main()
