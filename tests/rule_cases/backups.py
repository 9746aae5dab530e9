"""Cases of the checks of backup plans and the locks on vaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine import tokens
from offline.checks.backups import CONTINUOUS_DAYS, START_WINDOW_MINUTES
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import BACK_UP
from tests.rule_cases.world import VAULT_ARN, elsewhere, existing


def _rule(**changes: Any) -> Inputs:
    return {"rules": [{**BACK_UP, **changes}]}


def _kept(**lifecycle: int) -> Inputs:
    return _rule(lifecycle=lifecycle)


def _copied(**lifecycle: int) -> Inputs:
    return _rule(copyActions=[{"destinationVaultArn": VAULT_ARN, "lifecycle": lifecycle}])


def _plan_cases() -> Iterator[Case]:
    kind, check = tokens.BACKUP_PLAN, "plan_rules"
    two = {"rules": [BACK_UP, {**BACK_UP, "ruleName": "weekly"}]}
    yield case("same name", kind, check, {"rules": [BACK_UP, BACK_UP]}, two)
    yield case("blank", kind, check, _rule(ruleName="every day"))
    yield case("long name", kind, check, _rule(ruleName="a" * 51), _rule(ruleName="a" * 50))
    yield case("five fields", kind, check, _rule(schedule="cron(0 5 * * *)"), _rule(schedule="rate(12 hours)"))
    yield case(
        "short", kind, check, _rule(startWindow=START_WINDOW_MINUTES - 1), _rule(startWindow=START_WINDOW_MINUTES)
    )
    check = "plan_lifecycle"
    cold = {"coldStorageAfter": 30}
    yield case("cold", kind, check, _kept(**cold, deleteAfter=119), _kept(**cold, deleteAfter=120))
    yield case("cold for long", kind, check, _kept(**cold, deleteAfter=119), _kept(**cold))
    yield case("cold copy", kind, check, _copied(**cold, deleteAfter=119), _copied(**cold, deleteAfter=120))

    def continuous(**lifecycle: int) -> Inputs:
        return _rule(enableContinuousBackup=True, lifecycle=lifecycle)

    longest, longer = (continuous(deleteAfter=CONTINUOUS_DAYS + days) for days in (0, 1))
    yield case("continuous too long", kind, check, longer, longest)
    yield case("continuous for ever", kind, check, continuous(), longest)
    lock = existing(tokens.VAULT_LOCK, "other", backupVaultName="other", minRetentionDays=7, maxRetentionDays=35)
    yield case("too short", kind, check, _kept(deleteAfter=6), _kept(deleteAfter=7), [lock])
    yield case("too long", kind, check, _kept(deleteAfter=36), _kept(deleteAfter=35), [lock])
    yield case("for ever", kind, check, {"rules": [BACK_UP]}, _kept(deleteAfter=35), [lock])
    far_lock = elsewhere(tokens.VAULT_LOCK, "far", backupVaultName="far", minRetentionDays=7)
    yield case("copy too short", kind, check, _copied(deleteAfter=6), _copied(deleteAfter=7), [far_lock])
    namesake = elsewhere(tokens.VAULT_LOCK, "other", backupVaultName="other", minRetentionDays=7)
    yield case("of a namesake", kind, check, _copied(deleteAfter=6), _kept(deleteAfter=6), [namesake, far_lock])


def _lock_cases() -> Iterator[Case]:
    kind, check = tokens.VAULT_LOCK, "vault_lock"
    yield case("reversed", kind, check, {"minRetentionDays": 36, "maxRetentionDays": 35}, {"maxRetentionDays": 1})
    equal: Inputs = {"minRetentionDays": 35, "maxRetentionDays": 35}
    yield case("reversed by one", kind, check, {**equal, "minRetentionDays": 36}, equal)


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield from _plan_cases()
    yield from _lock_cases()
