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
    GRAFANA = "grafana"
    HAPROXY = "haproxy"
    NGINX = "nginx"
    PGBOUNCER = "pgbouncer"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Version:
    """A pinned version; ``remark`` says where the tests run another one."""

    version: str
    remark: str = ""


VERSIONS: dict[Software, Version] = {
    Software.CONSUL: Version("1.22.3"),
    Software.NOMAD: Version("1.11.3"),
    Software.NOMAD_AUTOSCALER: Version("0.4.7"),
    Software.PROMETHEUS: Version("3.9.1"),
    Software.ALERTMANAGER: Version("0.30.0"),
    Software.PUSHGATEWAY: Version("1.11.1"),
    Software.NODE_EXPORTER: Version("1.9.1"),
    Software.GRAFANA: Version("12.4.1", "no process is started in the tests: there is no binary to be had"),
    Software.HAPROXY: Version("2.6.12", "tests run the distribution's build of 2.6"),
    Software.NGINX: Version("1.22.1", "tests run the distribution's build of 1.22"),
    Software.PGBOUNCER: Version("1.18.0", "tests run the distribution's build of 1.18"),
    Software.POSTGRESQL: Version("15", "a managed database: the minor version is AWS's to choose"),
}
