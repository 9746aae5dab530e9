"""The boot agent and its services: how they start, what a change touches, whose turn it is, killed at any moment."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from boot_agent import agent, agent_text
from configs.nodes import bundle_key, report_key
from configs.tables.names import TURN_KEY
from tests.unit.node_programs import Killed
from tests.unit.node_world import Answers, Health, World, inside, made, service_part, serving, small_bundle

NODE = "control-plane-1"
CONFIG = "/etc/mlops-ha/{}/one.conf"
DIRECTORY = {"path": "/opt/data/one", "owner": "root", "mode": "0750"}
VOLUME = {"kind": "volume", "source": "/dev/sdf", "path": "/opt/data"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world around this process, with a blank disk and images of some services."""
    world = made(tmp_path)
    inside(world, monkeypatch)
    monkeypatch.setattr(agent, "half_made", whole)
    disk(world)
    world.put_images(one="v1", two="v1", three="v1")
    return world


def whole(device: Path) -> bool:
    """The stand-in's file systems are."""
    return not device.exists()


def disk(world: World) -> None:
    (world.root / "dev").mkdir(parents=True)
    (world.root / "dev/sdf").write_text("")


@pytest.fixture
def port(world: World) -> Generator[int]:
    """Where the node's services say how they are."""
    with serving(Answers(by_path=Health(world))) as port:
        yield port


def begun(node: str = NODE) -> agent.Agent:
    return agent.Agent("bundles", node, "i-1", "10.0.0.1", agent_text())


def three(port: int, texts: dict[str, str] | None = None, **changes: Any) -> str:
    """A bundle with three services: a program, a container that takes in its file by a reload, a program."""
    contents = {"one": "good", "two": "good", "three": "good"} | (texts or {})
    parts: dict[str, Any] = {
        "packages": ["docker"],
        "mounts": [VOLUME],
        "directories": [{"path": "/opt/data", "owner": "root", "mode": "0755"}, DIRECTORY],
        "services": [
            service_part("one", port),
            service_part("two", port, kind="container", program="", restarts=[], reloads=[CONFIG.format("two")]),
            service_part("three", port),
        ],
    }
    files = {CONFIG.format(name): [text] for name, text in contents.items()}
    return small_bundle(files=files, **(parts | changes))


def steps(one: agent.Agent, *times: float) -> None:
    for now in times:
        one.step(now)


# One after the other.


def test_services_start_in_their_order_each_when_the_one_before_is_well(world: World, port: int) -> None:
    """Guards against services that start before what they need, and a node that reports too early that it is well."""
    world.put(bundle_key(NODE), three(port, {"two": "bad"}))
    one = begun()
    steps(one, 0, 1)
    started = ["daemon-reload", "start mlops-ha-one.service", "start mlops-ha-two.service"]
    assert world.calls("systemctl") == [f"systemctl {call}" for call in ("start docker", *started)]
    one.report()
    report = world.report(report_key(NODE))
    assert (report.healthy, report.formed) == (False, False)
    assert "converge: waits for two: /two answers 503" in report.reason
    world.put(bundle_key(NODE), three(port))
    one.step(30)
    mended = ["daemon-reload", "reload mlops-ha-two.service", "start mlops-ha-three.service"]
    assert world.calls("systemctl") == [f"systemctl {call}" for call in ("start docker", *mended)]
    one.report()
    report = world.report(report_key(NODE))
    assert (report.healthy, report.formed, report.reason) == (True, True, "")


def test_a_service_that_stays_ill_is_told_as_failed(world: World, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a deployment that waits without knowing for what."""
    monkeypatch.setattr(agent, "SERVICE_SECONDS", -1)
    world.put(bundle_key(NODE), three(port, {"one": "bad"}))
    one = begun()
    one.step(0)
    assert str(one.problems["converge"]) == "failed: one is not well: /one answers 503"


def test_a_service_that_ends_again_and_again_is_told_soon(world: World, port: int) -> None:
    """Guards against a bad file that is told after two minutes only, and a count from before its start."""
    unit = "mlops-ha-one.service"
    world.put(bundle_key(NODE), three(port, {"one": "bad"}))
    (world.home / "ends").write_text(json.dumps({unit: "5"}))
    one = begun()
    told: list[str] = []
    for now, ends in enumerate(("5", "7", "8", "nothing")):
        (world.home / "ends").write_text(json.dumps({unit: ends}))
        one.step(now * 30)
        told.append(str(one.problems["converge"]))
    waits, failed = "waits for one: /one answers 503", "failed: one ends again and again: /one answers 503"
    assert told == [waits, waits, failed, waits]
    assert world.calls("systemctl").count(f"systemctl start {unit}") == 1


def test_a_round_in_which_nothing_changed_asks_systemd_once(world: World, port: int) -> None:
    """Guards against a node that works for its agent: each question starts a program."""
    manifest = {"turn": {"bucket": "bundles", "key": TURN_KEY}}
    world.put(bundle_key(NODE), three(port, **manifest))
    one = begun()
    one.step(0)
    one.report()
    assert one.formed
    one.step(30)
    (world.home / "calls").unlink()
    one.converge()
    calls = [json.loads(line) for line in (world.home / "calls").read_text().splitlines()]
    assert calls == [["systemctl", "is-active", *(f"mlops-ha-{name}.service" for name in ("one", "two", "three"))]]


def test_a_service_that_falls_ill_stops_no_other(world: World, port: int) -> None:
    """Guards against a change that a fault elsewhere keeps away, and a fault that is not told."""
    world.put(bundle_key(NODE), three(port))
    one = begun()
    one.step(0)
    world.calls("systemctl")
    (world.home / "ill").write_text("two")
    world.put(bundle_key(NODE), three(port, {"three": "other"}))
    one.step(30)
    assert "systemctl restart mlops-ha-three.service" in world.calls("systemctl")
    one.report()
    report = world.report(report_key(NODE))
    assert (report.healthy, report.formed, report.reason) == (False, False, "two is not well: /two answers 503")
    figures = (world.root / agent.FIGURES[1:]).read_text()
    assert 'mlops_ha_service_healthy{service="two"} 0.000\n' in figures
    assert 'mlops_ha_service_healthy{service="one"} 1.000\n' in figures


def test_a_service_that_ended_is_started_again(world: World, port: int) -> None:
    """Guards against a service that somebody stopped, or that an image's fault ended for good."""
    world.put(bundle_key(NODE), three(port))
    one = begun()
    one.step(0)
    world.programs.outcome("systemctl", ["stop", "mlops-ha-two.service"], b"")
    world.calls("systemctl")
    one.step(10)
    assert world.calls("systemctl") == ["systemctl daemon-reload", "systemctl start mlops-ha-two.service"]


# A change.


def another_unit(port: int) -> str:
    return three(port).replace("[Unit]", "[Unit] # other", 1)


def one_less(port: int) -> str:
    return three(port, services=json.loads(three(port))["manifest"]["services"][:2])


Make = Callable[[int], str]

CHANGES: dict[str, tuple[Make, list[str]]] = {
    "nothing": (three, []),
    "another description": (partial(three, region="elsewhere"), []),
    "a file that needs a restart": (
        partial(three, texts={"one": "other"}),
        ["daemon-reload", "restart mlops-ha-one.service"],
    ),
    "a file that needs a reload": (
        partial(three, texts={"two": "other"}),
        ["daemon-reload", "reload mlops-ha-two.service"],
    ),
    "two services, in their order": (
        partial(three, texts={"three": "other", "one": "other"}),
        ["daemon-reload", "restart mlops-ha-one.service", "restart mlops-ha-three.service"],
    ),
    "a unit": (another_unit, ["daemon-reload", "restart mlops-ha-one.service"]),
    "a service less": (one_less, ["stop mlops-ha-three.service"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_touches_what_it_is_about(change: str, world: World, port: int) -> None:
    """Guards against a change that restarts everything, one that nobody takes in, and a second time for nothing."""
    world.put(bundle_key(NODE), three(port))
    one = begun()
    one.step(0)
    world.calls("systemctl", "docker")
    text, told = CHANGES[change]
    world.put(bundle_key(NODE), text(port))
    steps(one, 30, 60)
    looked = ["systemctl start docker", "docker image inspect registry/mlops/two@v1"]
    assert world.calls("systemctl", "docker") == [
        *(looked if change != "nothing" else []),
        *(f"systemctl {call}" for call in told),
    ]
    # Another agent finds nothing to do.
    again = begun()
    again.step(0)
    assert world.calls("systemctl") == ["systemctl start docker"]
    assert again.complete
    gone = change == "a service less"
    assert ("/etc/systemd/system/mlops-ha-three.service" in world.files()) is not gone
    assert ("/opt/mlops-ha/bin/three" in world.files()) is not gone


def test_a_secret_that_changes_reloads_its_service(world: World, port: int) -> None:
    """Guards against a renewed certificate that a service never takes in."""
    file = {"path": "/run/mlops-ha/two/key", "text": "${key}", "owner": "root", "mode": "0400"}
    services = [
        service_part("one", port, restarts=[]),
        service_part("two", port, restarts=[], reloads=[file["path"]]),
    ]
    secrets = [{"kind": "secret", "id": "mlops/load-balancer", "files": [file]}]
    world.put_secret("mlops/load-balancer", '{"key": "old"}')
    world.put(bundle_key(NODE), small_bundle(services=services, secrets=secrets))
    one = begun()
    one.step(0)
    world.calls("systemctl")
    world.put_secret("mlops/load-balancer", '{"key": "new"}')
    one.step(3600)
    assert world.calls("systemctl") == ["systemctl daemon-reload", "systemctl reload mlops-ha-two.service"]


def test_a_new_version_comes_with_its_bundle(world: World, port: int) -> None:
    """Guards against a program that is replaced before its configuration is, and one that stays for ever."""
    world.put(bundle_key(NODE), three(port))
    one = begun()
    one.step(0)
    program = world.root / "opt/mlops-ha/bin/one"
    assert program.read_text() == "registry/mlops/one@v1 /bin/one"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    world.calls("systemctl")
    world.put_images(one="v2", two="v2", three="v1")
    one.step(30)
    assert world.calls("systemctl") == []
    assert program.read_text() == "registry/mlops/one@v1 /bin/one"
    services = json.loads(three(port))["manifest"]["services"]
    services[0]["version"] = services[1]["version"] = "2"
    world.put(bundle_key(NODE), three(port, services=services))
    one.step(60)
    assert world.calls("systemctl") == [
        "systemctl start docker",
        "systemctl daemon-reload",
        "systemctl restart mlops-ha-one.service",
        "systemctl restart mlops-ha-two.service",
    ]
    assert program.read_text() == "registry/mlops/one@v2 /bin/one"
    assert (world.root / "run/mlops-ha/two.image.env").read_text() == "IMAGE=registry/mlops/two@v2\n"
    # The registry's password is nowhere, and no container is left.
    assert not [path for path, file in world.files().items() if "password" in file.read_text()]
    assert world.programs.known("containers") == {}


# Killed at any moment.


class Bomb:
    """Ends this process before the so many-th thing that the agent does."""

    def __init__(self, left: int) -> None:
        self.left = left

    def before(self, function: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os._exit(9)
            return function(*arguments, **options)

        return called


def lives(left: int = 0) -> bool:
    """Run an agent in a process of its own until it is killed; return whether it came to its end before."""
    child = os.fork()
    if not child:
        bomb = Bomb(left)
        # A file is in its place, or is not: what is between is seen by nobody.
        for name in ("outcome", "write", "remove", "make_directory"):
            setattr(agent, name, bomb.before(getattr(agent, name)))
        shutil.rmtree = bomb.before(shutil.rmtree)
        os.fsync = agent.say = lambda _: None
        one = begun()
        steps(one, 0, 30)
        os._exit(0 if one.complete else 1)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended in (0, 9), ended
    return ended == 0


def snapshot(world: World) -> dict[str, Any]:
    """All that there is, but for times."""
    passing = (agent.STARTED, agent.FIGURES)
    files = {
        path: (stat.S_IMODE(file.stat().st_mode), file.read_text())
        for path, file in world.files().items()
        if path not in passing
    }
    folders = {str(path.relative_to(world.root)) for path in world.root.rglob("*") if path.is_dir()}
    known = {name: world.programs.known(name) for name in ("units", "images", "containers", "mounts", "packages")}
    return {"files": files, "folders": folders, **known}


def test_killed_at_any_moment_it_ends_the_same(world: World, port: int, tmp_path: Path) -> None:
    """Guards against an agent that half a work of its own keeps from the rest of it, at first and at a change."""
    before = tmp_path / "before"

    def restore() -> None:
        for name in ("root", "units", "images", "containers", "mounts", "packages"):
            place = world.home / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            if (before / name).is_dir():
                shutil.copytree(before / name, place)
            elif (before / name).exists():
                shutil.copy(before / name, place)

    def keep() -> None:
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(world.home, before, ignore=shutil.ignore_patterns("before", "s3", "bin"))

    services = json.loads(three(port))["manifest"]["services"][:2]
    bundles = (three(port), three(port, {"one": "other", "two": "other"}, services=services))
    moments: list[int] = []
    for bundle in bundles:
        world.put(bundle_key(NODE), bundle)
        keep()
        assert lives()
        wanted = snapshot(world)
        left = 1
        while True:
            restore()
            if lives(left):
                break
            assert lives()
            assert snapshot(world) == wanted, f"killed before {left}"
            left += 1
        moments.append(left)
    # Of each the calls of programs, the files and the folders.
    assert moments[0] > 50
    assert moments[1] > 30


# Disks.


def test_a_disk_with_something_on_it_is_never_formatted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against the loss of all that the platform knows, and a disk that half a mkfs leaves useless."""
    device = tmp_path / "disk"

    def blank() -> None:
        device.write_bytes(b"")
        # mkfs.xfs makes nothing smaller.
        os.truncate(device, 300 << 20)

    def label() -> str:
        call = ["blkid", "-p", "-o", "value", "-s", "TYPE", str(device)]
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()

    blank()
    agent.make_file_system(device)
    assert label() == "xfs"
    made = device.read_bytes()[:4096]
    agent.make_file_system(device)
    assert device.read_bytes()[:4096] == made, "the file system is another one"
    # What mkfs leaves when it is killed.
    with device.open("r+b") as file:
        file.seek(126)
        file.write(b"\x01")
    agent.make_file_system(device)
    assert device.read_bytes()[126] == 0
    for others in (["mkfs.ext4", "-q", "-F"], ["mkswap"]):
        blank()
        subprocess.run([*others, str(device)], check=True, capture_output=True)
        begins = device.read_bytes()[:8192]
        agent.make_file_system(device)
        assert device.read_bytes()[:8192] == begins
    with pytest.raises(OSError, match="No such file"):
        agent.make_file_system(tmp_path / "none")
    blank()

    def ambivalent(*_: str) -> tuple[int, str, str]:
        return 8, "", "ambivalent result"

    monkeypatch.setattr(agent, "outcome", ambivalent)
    with pytest.raises(agent.Problem, match=r"blkid says 8 of .*: ambivalent result"):
        agent.make_file_system(device)


def test_a_volume_is_waited_for(world: World, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against services that write where their disk is not, and a node that waits for ever and says nothing."""
    (world.root / "dev/sdf").unlink()
    world.put(bundle_key(NODE), three(port))
    one = begun()
    one.step(0)
    assert str(one.problems["converge"]) == "waits for the volume /dev/sdf"
    assert world.calls("systemctl", "mount") == ["systemctl start docker"]
    monkeypatch.setattr(agent, "VOLUME_SECONDS", -1)
    one.step(1)
    assert str(one.problems["converge"]) == "the volume /dev/sdf did not come within -1 seconds"
    (world.root / "dev/sdf").write_text("")
    one.step(11)
    assert one.complete
    (mounted,) = world.calls("mount")
    assert mounted == f"mount -o noatime {world.root}/dev/sdf {world.root}/opt/data"
    folder = world.root / "opt/data/one"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    begun().step(0)
    assert world.calls("mount") == []


def test_a_file_system_of_aws_is_mounted_encrypted(world: World) -> None:
    """Guards against models that go over the network in clear, or that anybody may read."""
    efs = {"kind": "efs", "source": "fs-1", "path": "/opt/ml-data"}
    world.put(bundle_key(NODE), small_bundle(mounts=[efs]))
    begun().step(0)
    assert world.calls("mount") == [f"mount -t efs -o tls,iam fs-1 {world.root}/opt/ml-data"]


# Turns.


class Servers:
    """Three servers of a region, each with a world of its own, around one S3; the group is as the test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.names = [f"control-plane-{number}" for number in (1, 2, 3)]
        self.worlds = {name: made(folder / name, folder / "aws") for name in self.names}
        self.agents: dict[str, agent.Agent] = {}
        self.ports: dict[str, int] = {}
        self.trouble = ""
        self.slow = False
        """Whether the group misses the first server for as long after its change."""
        self.now = 0.0
        monkeypatch.setattr(agent, "half_made", whole)
        monkeypatch.setattr(agent, "SETTLE_SECONDS", 0)
        monkeypatch.setattr(agent, "group_of", self.group)
        for world in self.worlds.values():
            disk(world)
            world.put_images(one="v1", two="v1", three="v1")

    def group(self, quorum: Any, manifest: Any) -> agent.Group:
        """The group is whole when every server's services run as they should."""
        del quorum, manifest
        ill = [name for name in self.names if self.well(name) is False]
        first = self.worlds[self.names[0]].root / CONFIG.format("one")[1:]
        missed = self.slow and "other" in first.read_text()
        trouble = self.trouble or (f"{ill} are ill" if ill else "consul has 2 of 3 servers" if missed else "")
        return agent.Group(trouble, led=True, counted=True)

    def well(self, name: str) -> bool | None:
        """Whether a server's services are well; None before they ever ran."""
        world = self.worlds[name]
        health = Health(world)
        if not (world.home / "units").exists():
            return None
        return all(health.get(f"/{service}")[0] == 200 for service in ("one", "two", "three"))

    def put(self, texts: dict[str, str] | None = None, names: list[str] | None = None) -> None:
        for name in names or self.names:
            quorum = [{"service": "consul", "port": 1, "path": "/", "header": "", "token": "/none"}]
            turn = {"bucket": "bundles", "key": TURN_KEY}
            self.worlds[name].put(bundle_key(name), three(self.ports[name], texts, quorum=quorum, turn=turn))

    def start(self, name: str) -> None:
        inside(self.worlds[name], self.monkeypatch)
        self.agents[name] = begun(name)

    def round(self, *names: str) -> dict[str, list[str]]:
        """Each does a step, half a minute later; what systemd was told to start, restart or reload."""
        self.now += 30
        told: dict[str, list[str]] = {}
        for name in names or self.names:
            inside(self.worlds[name], self.monkeypatch)
            self.agents[name].step(self.now)
            self.agents[name].report()
            calls = self.worlds[name].calls("systemctl")
            if done := [call.removeprefix("systemctl ") for call in calls if "mlops-ha" in call]:
                told[name] = done
        return told

    def reason(self, name: str) -> str:
        return self.worlds[name].report(report_key(name)).reason

    @property
    def lock(self) -> dict[str, str] | None:
        return self.worlds[self.names[0]].lock()


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Servers]:
    """Three servers on which all is well."""
    servers = Servers(tmp_path, monkeypatch)
    first, second, third = servers.worlds.values()
    with (
        serving(Answers(by_path=Health(first))) as one,
        serving(Answers(by_path=Health(second))) as two,
        serving(Answers(by_path=Health(third))) as other,
    ):
        servers.ports = dict(zip(servers.names, (one, two, other), strict=True))
        servers.put()
        for name in servers.names:
            servers.start(name)
        assert set(servers.round()) == set(servers.names), "a first start needs no turn"
        servers.round()
        assert all(servers.worlds[name].report(report_key(name)).formed for name in servers.names)
        assert servers.lock is None
        yield servers


def test_servers_roll_one_at_a_time(servers: Servers) -> None:
    """Guards against a change that restarts two servers at once, or never reaches the last one."""
    servers.put({"one": "other"})
    restarted: list[str] = []
    first, second, third = servers.names
    real = agent.Turn.give_back
    servers.monkeypatch.setattr(agent.Turn, "give_back", agent.Turn.is_mine)
    # The first has not given it back: the others wait.
    assert servers.round() == {first: ["restart mlops-ha-one.service"]}
    assert servers.lock is not None
    assert (servers.lock["node"], servers.lock["instance"]) == (first, "i-1")
    digest = servers.agents[first].digest
    assert servers.lock["bundle"] == digest
    for name in (second, third):
        assert servers.reason(name) == f"converge: waits for {first}, which applies bundle {digest[:12]}"
        report = servers.worlds[name].report(report_key(name))
        assert report.healthy, "it is as well as before"
        assert report.bundle != digest
    servers.monkeypatch.setattr(agent.Turn, "give_back", real)
    servers.agents[first].turn = None
    for _ in range(3):
        told = servers.round()
        restarted += told
    assert restarted == [second, third]
    assert servers.lock is None
    assert [servers.reason(name) for name in servers.names] == ["", "", ""]


def test_a_bad_bundle_stops_at_the_first_server(servers: Servers) -> None:
    """Guards against a fault that takes the whole quorum, and a mended bundle that cannot be applied."""
    servers.monkeypatch.setattr(agent, "SERVICE_SECONDS", -1)
    servers.put({"one": "bad"})
    first, second, third = servers.names
    assert servers.round() == {first: ["restart mlops-ha-one.service"]}
    failed = "failed: one is not well: /one answers 503"
    for _ in range(2):
        assert servers.round() == {}
    assert f"converge: {failed}" in servers.reason(first)
    assert servers.lock is not None
    assert servers.lock["says"] == failed
    for name in (second, third):
        assert servers.reason(name) == f"converge: waits for {first}, which {failed}"
    # One that starts anew has nothing to lose, but the bundle that failed is not tried on it.
    world = servers.worlds[second]
    (world.home / "units").write_text("{}")
    shutil.rmtree(world.root / "run")
    servers.start(second)
    assert servers.round(second) == {second: [f"start mlops-ha-{name}.service" for name in ("one", "two", "three")]}
    assert "good" in (world.root / CONFIG.format("one")[1:]).read_text()
    # Mended, it goes on where it stopped.
    servers.put({"one": "mended"})
    restarted = [name for _ in range(4) for name in servers.round()]
    assert restarted == [first, second, third]
    assert servers.lock is None


def test_the_turn_is_kept_until_the_group_is_whole(servers: Servers) -> None:
    """Guards against a second server that restarts before the first is back in Raft."""
    servers.slow = True
    servers.put({"one": "other"})
    first, *others = servers.names
    assert list(servers.round()) == [first]
    assert servers.round() == {}
    waits = "waits until the group is whole again: consul has 2 of 3 servers"
    assert servers.reason(first) == f"converge: {waits}"
    servers.monkeypatch.setattr(agent, "SERVICE_SECONDS", -1)
    assert servers.round() == {}
    failed = "failed: the group is not whole again: consul has 2 of 3 servers"
    assert servers.lock is not None
    assert servers.lock["says"] == failed
    assert servers.reason(others[0]) == f"converge: waits for {first}, which {failed}"
    servers.slow = False
    assert [name for _ in range(3) for name in servers.round()] == others
    assert servers.lock is None


@pytest.mark.parametrize("replaced", [False, True], ids=["killed", "replaced"])
def test_a_holder_that_was_killed_goes_on(replaced: bool, servers: Servers) -> None:
    """Guards against a lock that nobody ever gives back: the machine was killed in its turn, or replaced."""
    first, *others = servers.names
    world = servers.worlds[first]
    servers.put({"one": "other"})
    (world.home / "kill").write_text("restart")
    with pytest.raises(Killed):
        servers.round(first)
    (world.home / "kill").unlink()
    assert servers.lock is not None
    assert servers.lock["node"] == first
    assert servers.round(*others) == {}
    if replaced:
        shutil.rmtree(world.root)
        (world.home / "units").unlink()
        disk(world)
    servers.start(first)
    told = servers.round(first)[first]
    assert "restart mlops-ha-one.service" in told if not replaced else "start mlops-ha-one.service" in told
    if replaced:
        # Its services ran when it saw the lock; the group is whole now.
        servers.round(first)
    assert [name for _ in range(3) for name in servers.round()] == others
    assert servers.lock is None


def test_nothing_begins_while_the_group_is_not_whole(servers: Servers) -> None:
    """Guards against a change that takes the second of three servers."""
    servers.trouble = "consul has 2 of 3 servers"
    servers.put({"one": "other"})
    assert servers.round() == {}
    assert servers.reason("control-plane-1") == (
        "converge: waits until the group is whole: consul has 2 of 3 servers"
    )
    assert servers.lock is None
    servers.trouble = ""
    assert list(servers.round()) == servers.names
