"""What a node says of itself, every ten seconds, in the bundles bucket."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

REPORT_SECONDS = 10
"""How often a node reports: as often as the load balancer and Route 53 look."""


class Report(BaseModel):
    """One report. What a newer agent says besides is read over."""

    model_config = ConfigDict(frozen=True, strict=True)

    node: str
    """Name of the node."""
    instance: str
    """Id of the machine that reports."""
    bundle: str
    """SHA-256, in hexadecimal digits, of the text of the bundle that is applied."""
    formed: bool
    """Whether the node's group has ever been whole: from then on there is a quorum to lose."""
    healthy: bool
    """Whether the node is a healthy member of its group now, and all of its services are well."""
    reason: str = ""
    """Why not, and what goes wrong besides, or is waited for: of a node that waits for its turn, whose. Empty when
    there is nothing to tell."""
    fenced: bool | None = None
    """Whether the failover switch keeps users away; None of a node that does not look at it."""
    primary_answers: bool | None = None
    """Whether the primary region answers users, as seen from the node; None of one that does not look, or that could
    not learn where to."""

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read a report.

        Raises:
            ValueError: the text is none.
        """
        return cls.model_validate_json(text)

    def to_json(self) -> str:
        """Write the report."""
        return self.model_dump_json()
