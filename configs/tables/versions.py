"""Which version of everything runs. What is tested is what is deployed; where it is not, the row says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Software(StrEnum):
    """Everything that has a version, by the name that the ``versions`` setting uses."""

    CONSUL = "consul"
    NOMAD = "nomad"
    NOMAD_AUTOSCALER = "nomadAutoscaler"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    PUSHGATEWAY = "pushgateway"
    NODE_EXPORTER = "nodeExporter"
    POSTGRES_EXPORTER = "postgresExporter"
    GRAFANA = "grafana"
    HAPROXY = "haproxy"
    NGINX = "nginx"
    PGBOUNCER = "pgbouncer"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Version:
    """A pinned version, and where it comes from.

    ``image`` is the repository on Docker's default registry, None for what is no image. ``tag`` is how its publisher
    writes a version. ``remark`` says where the tests run another one.
    """

    version: str
    image: str | None = None
    tag: str = "{}"
    remark: str = ""


VERSIONS: dict[Software, Version] = {
    Software.CONSUL: Version("1.22.3", "hashicorp/consul"),
    Software.NOMAD: Version("1.11.3", "hashicorp/nomad"),
    # 0.4.7 ends with every policy that is a file (https://github.com/hashicorp/nomad-autoscaler/issues/1167).
    Software.NOMAD_AUTOSCALER: Version("0.5.0", "hashicorp/nomad-autoscaler"),
    Software.PROMETHEUS: Version("3.9.1", "prom/prometheus", "v{}"),
    Software.ALERTMANAGER: Version("0.30.0", "prom/alertmanager", "v{}"),
    Software.PUSHGATEWAY: Version("1.11.1", "prom/pushgateway", "v{}"),
    Software.NODE_EXPORTER: Version("1.9.1", "prom/node-exporter", "v{}"),
    Software.POSTGRES_EXPORTER: Version("0.17.1", "prometheuscommunity/postgres-exporter", "v{}"),
    Software.GRAFANA: Version(
        "12.4.1",
        "grafana/grafana",
        remark="no process is started in the tests: there is no binary to be had",
    ),
    Software.HAPROXY: Version("2.6.12", "haproxy", remark="tests run the distribution's build of 2.6"),
    Software.NGINX: Version("1.22.1", "nginx", remark="tests run the distribution's build of 1.22"),
    # From 1.21 on its publisher adds a patch level: v1.21.0-p2. The pattern changes with the version.
    Software.PGBOUNCER: Version("1.18.0", "edoburu/pgbouncer", remark="tests run the distribution's build of 1.18"),
    Software.POSTGRESQL: Version("15", remark="a managed database: the minor version is AWS's to choose"),
}


@dataclass(frozen=True)
class Image:
    """A container image: ``upstream`` is its repository on Docker's default registry, ``tag`` stands in ours too."""

    upstream: str
    tag: str

    @property
    def name(self) -> str:
        """What ``Names.repository`` makes our own repository's name of."""
        return self.upstream.rpartition("/")[2]

    @property
    def reference(self) -> str:
        """What Docker pulls."""
        return f"{self.upstream}:{self.tag}"


def images() -> tuple[Software, ...]:
    """Return what comes as a container image."""
    return tuple(software for software, version in VERSIONS.items() if version.image)


def image(software: Software, version: str) -> Image:
    """Return the image of a version.

    Raises:
        ValueError: the software is no image.
    """
    row = VERSIONS[software]
    if row.image is None:
        raise ValueError(f"{software} is no image")
    return Image(row.image, row.tag.format(version))
