"""The running stack's settings and secrets, read from its configuration."""

from __future__ import annotations

import pulumi

from configs.settings.model import Settings
from configs.settings.parse import SECRETS, parse_settings
from configs.settings.problem import BLOCK, SettingsError
from configs.tables.names import PROJECT


def stack_settings() -> Settings:
    """Return the settings of the stack that runs.

    Raises:
        pulumi.RunError: with every problem of the stack file; Pulumi shows the message without a traceback.
    """
    config = pulumi.Config(PROJECT)
    given = {name for name in SECRETS if config.get_secret(name) is not None}
    key = BLOCK.partition(":")[2]
    try:
        block = config.get_object(key)
    except pulumi.ConfigTypeError:
        # A plain text in place of the block: shown as what was given.
        block = config.get(key)
    try:
        return parse_settings(block, given, f"Pulumi.{pulumi.get_stack()}.yaml")
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from error


def stack_secrets() -> dict[str, pulumi.Output[str]]:
    """Return the secrets of the stack that runs, by name; those that its role does not need may be missing."""
    config = pulumi.Config(PROJECT)
    given = {name: config.get_secret(name) for name in SECRETS}
    return {name: value for name, value in given.items() if value is not None}
