"""A service as systemd is told of it: exact units, and arguments that arrive as they were meant."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.service import NodeService
from configs.tables.accounts import HAPROXY, PROMETHEUS, ROOT
from configs.tables.versions import Software

BINARY = NodeService(
    name="prometheus",
    software=Software.PROMETHEUS,
    version="3.9.1",
    kind=ServiceKind.BINARY,
    account=PROMETHEUS,
    program="/bin/prometheus",
    arguments=("--config.file=/etc/mlops-ha/prometheus/prometheus.yml", "--web.listen-address=${NODE_ADDRESS}:9090"),
    environment={"GOGC": "75%", "A": "$b"},
    environment_files=("/run/mlops-ha/prometheus/extra.env",),
    files={"/etc/mlops-ha/prometheus/prometheus.yml": File.of("a: 1\n")},
    directories=(Directory(path="/opt/data/prometheus", owner="prometheus"),),
    reload="SIGHUP",
    reloads=("/etc/mlops-ha/prometheus/prometheus.yml",),
    stop_seconds=300,
    probe=Probe(kind="http", port=9090, path="/-/ready"),
)

BINARY_UNIT = r"""[Unit]
Description=prometheus 3.9.1 of this node
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=/run/mlops-ha/node.env
EnvironmentFile=/run/mlops-ha/prometheus/extra.env
Environment="A=$b"
Environment="GOGC=75%%"
ExecStart=/opt/mlops-ha/bin/prometheus \
  "--config.file=/etc/mlops-ha/prometheus/prometheus.yml" \
  "--web.listen-address=${NODE_ADDRESS}:9090"
ExecReload=/usr/bin/kill --signal SIGHUP $MAINPID
User=prometheus
Group=prometheus
KillSignal=SIGTERM
LimitNOFILE=65536
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
ReadWritePaths=/opt/data/prometheus
AmbientCapabilities=
CapabilityBoundingSet=
TimeoutStopSec=300
Restart=always
# A fault that stays costs a start every five seconds; a server that was killed is back before its group misses it.
RestartSec=5
"""

CONTAINER = NodeService(
    name="haproxy",
    software=Software.HAPROXY,
    version="2.6.12",
    kind=ServiceKind.CONTAINER,
    account=HAPROXY,
    arguments=("-W", "-f", "/etc/mlops-ha/haproxy/haproxy.cfg"),
    environment={"TZ": "UTC", "A": "$b"},
    files={"/etc/mlops-ha/haproxy/haproxy.cfg": File.of("global\n")},
    secrets=(SecretFile(path="/run/mlops-ha/haproxy/password", text="${a}", owner="haproxy"),),
    public_certificate=SecretFile(path="/run/mlops-ha/haproxy/public.pem", text=None, owner="haproxy"),
    directories=(Directory(path="/opt/data/haproxy", owner="haproxy"),),
    mounts=("/run/mlops-ha-fence",),
    capabilities=("CAP_NET_BIND_SERVICE",),
    reload="SIGUSR2",
    reloads=("/run/mlops-ha/haproxy/public.pem", "/etc/mlops-ha/haproxy/haproxy.cfg"),
    stop_signal="SIGUSR1",
    probe=Probe(kind="tcp", port=443),
)

CONTAINER_UNIT = r"""[Unit]
Description=haproxy 2.6.12 of this node
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=/run/mlops-ha/node.env
EnvironmentFile=/run/mlops-ha/haproxy.image.env
# To no account but root does Docker give a capability (https://github.com/moby/moby/issues/8460).
ExecStartPre=/usr/sbin/sysctl --quiet --write net.ipv4.ip_unprivileged_port_start=80
# Docker keeps no log: what the container prints is this unit's, and goes to the journal once.
ExecStartPre=-/usr/bin/docker rm --force mlops-ha-haproxy
ExecStart=/usr/bin/docker run --rm --name mlops-ha-haproxy --network host --read-only --tmpfs /tmp \
  --user 7110:7110 --cap-drop ALL --security-opt no-new-privileges \
  --ulimit nofile=65536 --log-driver none --stop-signal SIGUSR1 --stop-timeout 30 \
  --volume /etc/mlops-ha/haproxy:/etc/mlops-ha/haproxy:ro \
  --volume /run/mlops-ha-fence:/run/mlops-ha-fence:ro \
  --volume /run/mlops-ha/haproxy:/run/mlops-ha/haproxy:ro \
  --volume /opt/data/haproxy:/opt/data/haproxy \
  --env "A=$$b" \
  --env "TZ=UTC" \
  ${IMAGE} \
  "-W" \
  "-f" \
  "/etc/mlops-ha/haproxy/haproxy.cfg"
ExecReload=/usr/bin/docker kill --signal SIGUSR2 mlops-ha-haproxy
ExecStop=/usr/bin/docker stop mlops-ha-haproxy
TimeoutStopSec=40
Restart=always
# A fault that stays costs a start every five seconds; a server that was killed is back before its group misses it.
RestartSec=5
"""


def test_a_binarys_unit_is_exactly_the_plan() -> None:
    """Guards against a service that runs as root, may write anywhere, or is never reloaded."""
    path, file = BINARY.unit
    assert (path, file.mode) == ("/etc/systemd/system/mlops-ha-prometheus.service", "0644")
    assert file.text == BINARY_UNIT


def test_a_containers_unit_is_exactly_the_plan() -> None:
    """Guards against a container that has more rights, or sees less files, than its service needs."""
    path, file = CONTAINER.unit
    assert (path, file.mode) == ("/etc/systemd/system/mlops-ha-haproxy.service", "0644")
    assert file.text == CONTAINER_UNIT


def test_what_a_root_service_starts_outlives_it() -> None:
    """Guards against training jobs that end with a restart of Nomad, and against a sandbox that they inherit."""
    unit = replace(BINARY, account=ROOT, reload=None, reloads=()).unit[1].text
    assert "\nUser=root\nGroup=root\n" in unit
    assert "\nKillMode=process\n" in unit
    assert re.search("Protect|NoNewPrivileges|Capabilit|ExecReload", unit) is None


def test_every_file_restarts_or_reloads() -> None:
    """Guards against a change that a service never hears of, and one that it hears of twice."""
    manifest = replace(CONTAINER, reloads=CONTAINER.reloads[:1], needs=("/run/mlops-ha/haproxy/x",)).manifest
    assert manifest.reloads == ("/run/mlops-ha/haproxy/public.pem",)
    assert manifest.restarts == (
        "/etc/mlops-ha/haproxy/haproxy.cfg",
        "/run/mlops-ha/haproxy/password",
        "/run/mlops-ha/haproxy/x",
    )
    # Sorted: the same bytes whatever order its folder has them in.
    assert CONTAINER.manifest.reloads == tuple(sorted(CONTAINER.reloads))


def words(line: str) -> list[str]:
    """Return a line of double-quoted words as systemd reads it, specifiers and variables last.

    https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html, "Quoting";
    https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html, "Command lines".
    """
    found = re.findall(r'"((?:\\.|[^"\\])*)"', line)
    assert " ".join(f'"{word}"' for word in found) == line

    def character(escape: re.Match[str]) -> str:
        code = escape[1]
        return chr(int(code[1:], 16)) if code[0] == "x" else code

    plain = [re.sub(r"\\(x[0-9a-f]{2}|[\"\\])", character, word) for word in found]
    assert all(re.fullmatch("(%%|[^%])*", word, re.DOTALL) for word in plain)
    return [word.replace("%%", "%") for word in plain]


def joined(unit: str, setting: str) -> list[str]:
    """Return what follows a setting, lines that go on made one; systemd ends a line at a line feed alone."""
    lines = unit.replace("\\\n", " ").split("\n")
    return [re.sub(" +", " ", line.removeprefix(f"{setting}=")) for line in lines if line.startswith(f"{setting}=")]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(lambda text: re.sub(" +", " ", text))


@given(argument=TEXTS, value=TEXTS)
def test_arguments_arrive_as_they_were_meant(argument: str, value: str) -> None:
    """Guards against an argument that is cut, joined, or ends the unit: a password, a pattern, a line of text."""
    changed = replace(BINARY, arguments=(argument, "last"), environment={"A": value})
    unit = changed.unit[1].text
    [command] = joined(unit, "ExecStart")
    assert words(command.removeprefix("/opt/mlops-ha/bin/prometheus ")) == [argument, "last"]
    assert [words(line) for line in joined(unit, "Environment")] == [[f"A={value}"]]
    [command] = joined(replace(changed, kind=ServiceKind.CONTAINER).unit[1].text, "ExecStart")
    environment, image, arguments = command.partition(" ${IMAGE} ")
    assert image
    assert words(arguments) == [argument, "last"]
    [given_value] = words(environment.partition(" --env ")[2])
    # In a command line two dollar signs are one.
    assert given_value.replace("$$", "$") == f"A={value}"
    assert given_value.count("$") == 2 * value.count("$")
