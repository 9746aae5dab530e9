"""Checks of backup plans and of the locks on their vaults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from engine.tokens import VAULT, VAULT_LOCK
from offline.checks.common import Check, values_at
from offline.cloud import Cloud, Inputs, Proposal, Resource

START_WINDOW_MINUTES = 60
"""The shortest, and the provider's own. https://docs.aws.amazon.com/aws-backup/latest/devguide/API_BackupRuleInput.html"""

COLD_STORAGE_DAYS = 90
"""What is moved to cold storage stays there as long at least.

https://docs.aws.amazon.com/aws-backup/latest/devguide/API_Lifecycle.html
"""

CONTINUOUS_DAYS = 35
"""Continuous backups are kept no longer.

https://docs.aws.amazon.com/aws-backup/latest/devguide/point-in-time-recovery.html
"""


def plan_rules(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Rules have different, legal names, a schedule of a known form, and time to start.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_BackupRuleInput.html
    """
    names = Counter(name for _, name in values_at(proposal.inputs, "rules[].ruleName"))
    for where, name in values_at(proposal.inputs, "rules[].ruleName"):
        if names[name] > 1:
            yield f"{where}: {name} is the name of {names[name]} rules"
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,50}", name):
            yield f"{where}: {name} is not a legal name, 1 to 50 letters, digits and -_. are allowed"
    for where, schedule in values_at(proposal.inputs, "rules[].schedule"):
        if not re.fullmatch(r"cron\(\S+( \S+){5}\)|rate\(\d+ (hours?|days?)\)", schedule):
            yield f"{where}: {schedule} is neither cron() with six fields nor rate() in hours or days"
    for where, minutes in values_at(proposal.inputs, "rules[].startWindow"):
        if minutes < START_WINDOW_MINUTES:
            yield f"{where}: {minutes:g} minutes, AWS Backup allows {START_WINDOW_MINUTES} at least"


def _kept(inputs: Inputs, region: str, cloud: Cloud) -> Iterator[tuple[str, Inputs, Resource | None]]:
    """Yield the path of every backup and copy that a plan of the region makes, its lifecycle, and its vault."""
    here = {vault.id: vault for vault in cloud.all(VAULT, region=region)}
    everywhere = {vault.attribute("arn"): vault for vault in cloud.all(VAULT)}
    for where, rule in values_at(inputs, "rules[]"):
        yield where, rule.get("lifecycle") or {}, here.get(rule.get("targetVaultName"))
        for inner, copy in values_at(rule, "copyActions[]"):
            yield f"{where}.{inner}", copy.get("lifecycle") or {}, everywhere.get(copy.get("destinationVaultArn"))


def _outside(lifecycle: Inputs, lock: Inputs) -> str | None:
    """Return what a lock has against a lifecycle."""
    shortest, longest = lock.get("minRetentionDays"), lock.get("maxRetentionDays")
    days = lifecycle.get("deleteAfter")
    allowed = f"{shortest or 1:g} to {longest or 36500:g} days"
    if days is None:
        return f"for ever, the lock of its vault allows {allowed}" if longest is not None else None
    fits = (shortest or 0) <= days <= (longest or days)
    return None if fits else f"for {days:g} days, the lock of its vault allows {allowed}"


def plan_lifecycle(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Backups and copies are kept as long as the locks of their vaults say, and cold storage and continuity allow.

    A job whose retention is outside the lock fails, at night: it is refused here.
    https://docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html
    """
    locks = {(lock.region, lock.attribute("backupVaultName")): lock.inputs for lock in cloud.all(VAULT_LOCK)}
    for where, lifecycle, vault in _kept(proposal.inputs, proposal.region, cloud):
        lock = locks.get((vault.region, vault.id)) if vault is not None else None
        outside = _outside(lifecycle, lock) if lock is not None else None
        if outside is not None:
            yield f"{where}.lifecycle.deleteAfter: is kept {outside}"
        cold, days = lifecycle.get("coldStorageAfter"), lifecycle.get("deleteAfter")
        if cold is not None and days is not None and days < cold + COLD_STORAGE_DAYS:
            yield (
                f"{where}.lifecycle.deleteAfter: {days:g} days, but {COLD_STORAGE_DAYS} at least after"
                f" coldStorageAfter ({cold:g})"
            )
    for where, rule in values_at(proposal.inputs, "rules[]"):
        days = next((days for _, days in values_at(rule, "lifecycle.deleteAfter")), None)
        if rule.get("enableContinuousBackup") and (days is None or days > CONTINUOUS_DAYS):
            yield f"{where}.lifecycle.deleteAfter: a continuous backup is kept 1 to {CONTINUOUS_DAYS} days"


def vault_lock(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A lock's shortest retention is not longer than its longest.

    Plans that are there already are not looked at: AWS compares with each job, and a change of both comes one by one.
    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_PutBackupVaultLockConfiguration.html
    """
    shortest, longest = proposal.inputs.get("minRetentionDays"), proposal.inputs.get("maxRetentionDays")
    if shortest is not None and longest is not None and shortest > longest:
        yield f"minRetentionDays: {shortest:g} is more than maxRetentionDays ({longest:g})"


CHECKS: tuple[Check, ...] = (plan_lifecycle, plan_rules, vault_lock)
