"""Which system account each service of a node runs as: one number everywhere, on the host and in its container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """A system account; its group has the same name and number.

    Numbers lie above those that Amazon Linux gives to packages (below 1000) and to people (from 1000 on, a few), and
    below those that systemd takes for itself (from 60578 on, https://systemd.io/UIDS-GIDS/).
    """

    name: str
    number: int


ROOT = Account("root", 0)
CONSUL = Account("consul", 7101)
NOMAD = Account("nomad", 7102)
NOMAD_AUTOSCALER = Account("nomad-autoscaler", 7103)
PROMETHEUS = Account("prometheus", 7104)
ALERTMANAGER = Account("alertmanager", 7105)
NODE_EXPORTER = Account("node-exporter", 7106)
POSTGRES_EXPORTER = Account("postgres-exporter", 7107)
PGBOUNCER = Account("pgbouncer", 7108)
GRAFANA = Account("grafana", 7109)
HAPROXY = Account("haproxy", 7110)
NGINX = Account("nginx", 7111)

ACCOUNTS: tuple[Account, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Account))
"""Every account of this file, in its order."""
