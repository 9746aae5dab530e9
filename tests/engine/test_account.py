"""The account over what the engine really deployed: names and shapes that a cloud filled by hand could have wrong."""

from __future__ import annotations

from pathlib import Path

from configs.tables.flows import Role
from configs.tables.names import BUNDLES_BUCKET, Names
from engine.stack_files import ROOT, stack_settings
from lab.account import account
from offline.cloud import Cloud
from tests.lab.cloud import AWAY, HOME, client


def test_the_deployed_pair_answers(home: Path) -> None:
    """A mirror that reads an attribute which the program never sets."""
    cloud = Cloud(home / "cloud.sqlite")
    settings = stack_settings(ROOT, "dr")
    names = Names(settings.name, "123456789012", AWAY)
    with account(cloud) as served:
        [database] = client(served, "rds").describe_db_instances()["DBInstances"]
        assert database["ReadReplicaSourceDBInstanceIdentifier"].startswith(f"arn:aws:rds:{HOME}:")
        [replication] = client(served, "efs").describe_replication_configurations()["Replications"]
        assert replication["SourceFileSystemRegion"] == HOME
        [group] = client(served, "autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        assert (group["MinSize"], group["MaxSize"]) == settings.worker_bounds
        balancing = client(served, "elbv2")
        [balancer] = balancing.describe_load_balancers()["LoadBalancers"]
        groups = balancing.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
        assert len(groups) == 3
        for one in groups:
            health = balancing.describe_target_health(TargetGroupArn=one["TargetGroupArn"])[
                "TargetHealthDescriptions"
            ]
            assert [target["TargetHealth"]["State"] for target in health] == ["healthy", "healthy"]
        secret = client(served, "secretsmanager").get_secret_value(SecretId=names.secret(Role.LOAD_BALANCER))
        assert "caCertificate" in secret["SecretString"]
        report = client(served, "s3").get_object(
            Bucket=names.bucket(BUNDLES_BUCKET), Key="reports/control-plane-1.json"
        )
        assert b'"healthy":true' in report["Body"].read()
        assert client(served, "sts").get_caller_identity()["Account"] == names.account
        # A region that is lost: its things are gone, and the other one still has the replica's side of each.
        for resource in cloud.all(region=HOME):
            cloud.remove(resource)
        served.dark_regions.add(HOME)
        assert client(served, "efs").describe_replication_configurations()["Replications"] != []
        assert client(served, "secretsmanager").list_secrets()["SecretList"] != []
    cloud.close()
