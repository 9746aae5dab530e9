"""The two regions as the commands see them: a stack, its engine and what AWS knows of its region."""

from __future__ import annotations

from dataclasses import dataclass

from configs.database import database_identifier
from configs.settings.model import Settings
from configs.tables.flows import HTTPS
from configs.tables.names import ML_DATA, Names, PublicNames
from ops.aws import Region, asked
from ops.database import Database
from ops.dns import Resolvers
from ops.engine import Engine
from ops.entrance import Entrance, entrance
from ops.file_system import FileSystem
from ops.problems import Stop
from ops.record import Records
from ops.switch import FailoverSwitch

PRIMARY_STACK, STANDBY_STACK = "prod", "dr"
"""The stack that builds each region, whatever the region's role is at the time."""


@dataclass(frozen=True)
class Reach:
    """How this machine reaches a region's names; other than the default only in rehearsals on one machine."""

    resolvers: Resolvers
    https_port: int = HTTPS.port


@dataclass(frozen=True)
class Site:
    """One region. Whatever depends on the settings is read anew: a procedure changes them."""

    engine: Engine
    region: Region
    reach: Reach

    @classmethod
    def of(cls, stack: str, reach: Reach) -> Site:
        """Return the site that a stack builds."""
        engine = Engine(stack)
        return cls(engine, Region(engine.settings.location.name), reach)

    @property
    def settings(self) -> Settings:
        """The stack's settings as they are now."""
        return self.engine.settings

    @property
    def names(self) -> Names:
        """Names in the region."""
        settings = self.settings
        return Names(settings.name, settings.account_id, settings.location.name)

    @property
    def public_names(self) -> PublicNames:
        """Names in the hosted zone."""
        return PublicNames(self.settings.domain)

    @property
    def database(self) -> Database:
        """The region's database, of the generation that the settings name."""
        settings = self.settings
        return Database(self.region, database_identifier(self.names, settings.database_generation))

    @property
    def file_system(self) -> FileSystem:
        """The region's file system for ML data."""
        return FileSystem(self.region, self.names.regional(ML_DATA))

    @property
    def switch(self) -> FailoverSwitch:
        """The failover switch: the standby region's."""
        return FailoverSwitch(self.region, self.names)

    @property
    def records(self) -> Records:
        """What is written down of failovers: in the standby region."""
        return Records(self.region, self.names)

    def entrance(self) -> Entrance:
        """Return the region's load balancer by its regional names.

        Raises:
            Unknown: the authority that issued its certificate cannot be learned.
        """
        return entrance(self.region, self.names, self.settings, self.reach.resolvers, self.reach.https_port)

    def sign_in(self) -> str:
        """See that AWS takes our credentials, for the right account; return whose they are.

        Raises:
            Unknown: AWS does not answer in this region, or refuses.
            Stop: they are another account's.
        """
        with asked(f"who is signed in to AWS, asked in {self.region.name}"):
            identity = self.region.sts.get_caller_identity()
        expected = self.settings.account_id
        if identity["Account"] != expected:
            raise Stop(f"signed in to account {identity['Account']}, but the stack file says {expected}")
        return identity["Arn"]
