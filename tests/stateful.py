"""What must outlive every change, and how a run is asked whether it does."""

from __future__ import annotations

from engine.steps import Result

STATEFUL = frozenset(
    {
        "aws:backup/vault:Vault",
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "aws:ec2/networkInterface:NetworkInterface",
        "aws:ecr/repository:Repository",
        "aws:efs/fileSystem:FileSystem",
        "aws:kms/key:Key",
        "aws:kms/replicaKey:ReplicaKey",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        "random:index/randomPassword:RandomPassword",
    }
)
"""What cannot be had again: with what it holds, or under the address or the name that others know."""


def destroyed(result: Result) -> list[str]:
    """Return what holds state and would not outlive a run."""
    gone = ("delete", "replace", "create-replacement", "delete-replaced")
    return [
        f"{step.operation} {step.name}"
        for step in result.steps
        if step.type in STATEFUL and step.operation in gone and not step.forgotten
    ]
