"""For every rule of the AWS rule files: one resource that it accepts and one that it refuses.

Cases of pure data (names, references, values, groups) follow from the rule files; cases of checks are written out,
one file per subject. All start from one small legal resource a type (``BASES``) in one small existing cloud
(``WORLD``).
"""

from tests.rule_cases import (
    alarms,
    archives,
    backups,
    database,
    dns,
    endpoints,
    file_systems,
    generated,
    identities,
    images,
    kms,
    load_balancer,
    machines,
    network,
    policies,
    secrets,
    security_groups,
    targets,
    volumes,
    workers,
)
from tests.rule_cases.bases import BASES, inputs
from tests.rule_cases.common import Case, many_rules, record
from tests.rule_cases.companions import COMPANIONS, SAMPLES
from tests.rule_cases.generated import RULES, constraints_of, without
from tests.rule_cases.world import ACCOUNT, BALANCER_NAME, REGION, WORLD, existing

__all__ = [
    "ACCOUNT",
    "BALANCER_NAME",
    "BASES",
    "CASES",
    "COMPANIONS",
    "REGION",
    "RULES",
    "SAMPLES",
    "WORLD",
    "Case",
    "constraints_of",
    "existing",
    "inputs",
    "many_rules",
    "record",
    "without",
]

_SUBJECTS = (
    generated,
    network,
    endpoints,
    security_groups,
    machines,
    load_balancer,
    dns,
    policies,
    kms,
    secrets,
    identities,
    images,
    archives,
    backups,
    alarms,
    database,
    file_systems,
    targets,
    volumes,
    workers,
)

CASES: list[Case] = [case for subject in _SUBJECTS for case in subject.cases()]
"""Every rule of the AWS rule files, with what it accepts and what it refuses."""
