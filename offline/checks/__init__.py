"""What the rule files cannot express: checks that look at several properties or at several resources.

A check yields one sentence per problem, ``path: what was given, what is allowed``. It says nothing of what is not
known yet: unknown properties, and parents that do not exist. Every check names the vendor document of its rule, or
its file does for all. There is one file per subject; each ends with the list of its checks.
"""

from offline.checks import (
    addresses,
    alarms,
    archives,
    backups,
    buckets,
    database,
    endpoints,
    file_systems,
    flow_logs,
    health_checks,
    identities,
    images,
    kms,
    load_balancer,
    machines,
    network,
    policies,
    records,
    routes,
    secrets,
    security_groups,
    targets,
    volumes,
    workers,
)
from offline.checks.common import Check, is_given, is_missing, others, values_at

__all__ = ["AT_THE_CHANGE", "CHECKS", "is_given", "is_missing", "others", "values_at"]

_SUBJECTS = (
    addresses,
    alarms,
    archives,
    backups,
    buckets,
    database,
    endpoints,
    file_systems,
    flow_logs,
    health_checks,
    identities,
    images,
    kms,
    load_balancer,
    machines,
    network,
    policies,
    records,
    routes,
    secrets,
    security_groups,
    targets,
    volumes,
    workers,
)

CHECKS: dict[str, Check] = {check.__name__: check for subject in _SUBJECTS for check in subject.CHECKS}
"""The checks by the names that rule files use."""

AT_THE_CHANGE = frozenset({"far_source", "file_system_protection", "new_source"})
"""The checks of what AWS itself says only when a change is meant: previews let it pass.

A standby is previewed before its primary was ever deployed, and a program's own gates have their say before AWS does.
"""
