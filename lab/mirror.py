"""Puts what the offline cloud has into moto's backends, so that moto's own APIs answer with it.

Only what the day-2 commands read is mirrored, and of it what they look at. What the cloud has no more is taken away
again; what a client made through an API stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.efs.models import FileSystem
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup
from moto.rds.models import DBInstance
from moto.s3.models import s3_backends
from moto.secretsmanager.models import FakeSecret

from configs.tables.certificates import Certificate
from configs.tables.metrics import CERTIFICATE_DAYS, CERTIFICATE_DIMENSION, NAMESPACE
from engine.tokens import (
    AUTOSCALING_GROUP,
    BUCKET,
    BUCKET_POLICY,
    DATABASE,
    FILE_SYSTEM,
    INSTANCE,
    LISTENER,
    LOAD_BALANCER,
    SECRET,
    SECRET_VERSION,
    TARGET_GROUP,
    TARGET_GROUP_ATTACHMENT,
)
from lab.autoscaling import make_group
from lab.replication import Replications
from offline.cloud import Cloud, Resource
from offline.objects import find_object

Model = TypeVar("Model")

LAG_SECONDS = 2.0
"""How far a replica is behind unless a test says otherwise: more than none, so that arithmetic with it shows."""

CERTIFICATE_DAYS_LEFT = 300.0
"""Days that every certificate has left: far from the alarm (21), and not the 365 of a new one."""

DATAPOINT_AGE = timedelta(seconds=10)
"""How old the newest datapoint is. A question ends before the second in which it was begun, and the machine may be
busy between: a newer datapoint would be left out of it."""

DATAPOINTS = 15
"""How many datapoints a lag has, a minute apart as RDS publishes it: for as long as the day-2 commands look back."""

PUBLISHED_AGO = timedelta(minutes=10)
"""How long ago nodes published the days of their certificates: they do it every hour."""


class Mirror:
    """Mirrors one cloud. Each method is called before a request to its service, under a lock."""

    def __init__(self, cloud: Cloud, replications: Replications) -> None:
        """Mirror nothing yet."""
        self._cloud = cloud
        self._replications = replications
        self._written = set[tuple[str, str]]()
        self._virtual = set[tuple[str, str]]()
        self._data = dict[str, list[MetricDatum]]()
        self._secrets = dict[tuple[str, str], FakeSecret]()
        self._primaries = set[tuple[str, str]]()
        self.database_status = dict[str, str]()
        self.lags = dict[str, tuple[float | None, datetime | None]]()
        self.services: Mapping[str, Callable[[str, datetime], None]] = {
            "autoscaling": self._groups,
            "cloudwatch": self._metrics,
            "efs": self._file_systems,
            "elbv2": self._load_balancers,
            "rds": self._databases,
            "secretsmanager": self._secret_values,
        }
        """What mirrors a service in a region."""

    def buckets(self) -> None:
        """Mirror every bucket, and who may read it without signing."""
        existing = {resource.id: resource for resource in self._cloud.all(BUCKET)}
        backend = _backend("s3", "aws")
        for name in backend.buckets.keys() - existing.keys():
            del backend.buckets[name]
            s3_backends.bucket_accounts.pop(name, None)
        for name in existing.keys() - backend.buckets.keys():
            backend.create_bucket(name, existing[name].region)
        for policy in self._cloud.all(BUCKET_POLICY):
            if policy.id in existing:
                backend.buckets[policy.id].policy = _public(policy)

    def object_of(self, bucket: str, key: str, now: datetime) -> None:
        """Mirror an object that the offline cloud has: a bundle, or a node's report. What a client wrote is kept."""
        place = (bucket, key)
        backend = _backend("s3", "aws")
        if place in self._written or bucket not in backend.buckets:
            return
        found = find_object(self._cloud, bucket, key, now)
        if found is not None:
            backend.put_object(bucket, key, found.text.encode()).last_modified = found.written
            self._virtual.add(place)
        elif place in self._virtual:
            backend.delete_object(bucket, key)
            self._virtual.discard(place)

    def holds(self, bucket: str, key: str) -> bool:
        """Say whether a client wrote an object, and it is there."""
        return (bucket, key) in self._written

    def wrote(self, bucket: str, key: str) -> None:
        """Keep what a client wrote from being replaced."""
        self._written.add((bucket, key))

    def deleted(self, bucket: str, key: str) -> None:
        """Let what a client deleted come back if the offline cloud has it: a node reports again."""
        self._written.discard((bucket, key))

    def _databases(self, region: str, _: datetime) -> None:
        databases = _backend("rds", region).databases
        databases.clear()
        for resource in self._cloud.all(DATABASE, region=region):
            identifier: str = resource.attribute("identifier")
            database = _made(DBInstance)(
                _backend("rds", region),
                db_instance_identifier=identifier,
                db_instance_class=resource.attribute("instanceClass") or "db.m6i.large",
                engine="postgres",
                engine_version=resource.attribute("engineVersion") or "15",
                source_db_instance_identifier=resource.attribute("replicateSourceDb") or None,
                multi_az=bool(resource.attribute("multiAz")),
                backup_retention_period=resource.attribute("backupRetentionPeriod") or 0,
                # Without one, moto makes a whole network to take its default group from.
                vpc_security_group_ids=["sg-of-the-lab"],
            )
            database.status = self.database_status.get(identifier, "available")
            databases[identifier] = database

    def _file_systems(self, region: str, now: datetime) -> None:
        self._replications.observe(now)
        backend = _backend("efs", region)
        existing = {resource.id: resource for resource in self._cloud.all(FILE_SYSTEM, region=region)}
        for identity in backend.file_systems_by_id.keys() - existing.keys():
            del backend.file_systems_by_id[identity]
        for identity, resource in existing.items():
            if identity not in backend.file_systems_by_id:
                backend.file_systems_by_id[identity] = _made(FileSystem)(
                    DEFAULT_ACCOUNT_ID,
                    region,
                    creation_token=resource.attribute("creationToken"),
                    file_system_id=identity,
                    context=backend,
                    performance_mode="generalPurpose",
                    encrypted=True,
                    kms_key_id=resource.attribute("kmsKeyId") or "",
                    throughput_mode=resource.attribute("throughputMode") or "elastic",
                    provisioned_throughput_in_mibps=0,
                    availability_zone_name="",
                    backup=False,
                )
            # An attribute that moto does not know, but answers with all of them.
            protection = {"ReplicationOverwriteProtection": self._replications.protection(resource)}
            vars(backend.file_systems_by_id[identity])["file_system_protection"] = protection

    def _groups(self, region: str, _: datetime) -> None:
        backend = _backend("autoscaling", region)
        existing = {
            resource.attribute("name"): resource for resource in self._cloud.all(AUTOSCALING_GROUP, region=region)
        }
        for name in backend.autoscaling_groups.keys() - existing.keys():
            backend.delete_auto_scaling_group(name, force_delete=True)
        for name, resource in existing.items():
            least, most = int(resource.attribute("minSize")), int(resource.attribute("maxSize"))
            group = cast("FakeAutoScalingGroup | None", backend.autoscaling_groups.get(name))
            if group is None:
                group = make_group(backend, name, least, most)
            group.min_size, group.max_size = least, most
            wanted = resource.attribute("desiredCapacity") or group.desired_capacity or least
            # AWS moves the desired capacity with the bounds. Machines are in service at once.
            group.set_desired_capacity(min(max(int(wanted), least), most))

    def _load_balancers(self, region: str, _: datetime) -> None:
        backend = _backend("elbv2", region)
        backend.load_balancers.clear()
        backend.target_groups.clear()
        for resource in self._cloud.all(LOAD_BALANCER, region=region):
            balancer = _made(FakeLoadBalancer)(
                name=resource.attribute("name"),
                security_groups=resource.attribute("securityGroups") or [],
                subnets=[],
                vpc_id="",
                arn=resource.id,
                dns_name=resource.attribute("dnsName") or "",
                state="active",
                loadbalancer_type=resource.attribute("loadBalancerType"),
            )
            backend.load_balancers[resource.id] = balancer
        for resource in self._cloud.all(TARGET_GROUP, region=region):
            group = _made(FakeTargetGroup)(
                name=resource.attribute("name"),
                account_id=DEFAULT_ACCOUNT_ID,
                region_name=region,
                vpc_id=resource.attribute("vpcId") or "",
                protocol=resource.attribute("protocol"),
                port=str(resource.attribute("port")),
                target_type=resource.attribute("targetType"),
            )
            group.arn = resource.id
            backend.target_groups[resource.id] = group
        for resource in self._cloud.all(LISTENER, region=region):
            for action in cast("Iterable[Mapping[str, Any]]", resource.attribute("defaultActions") or ()):
                group = cast("FakeTargetGroup | None", backend.target_groups.get(action.get("targetGroupArn")))
                if group is not None:
                    group.load_balancer_arns.append(resource.attribute("loadBalancerArn"))
        machines = {machine.id for machine in self._cloud.all(INSTANCE, region=region)}
        for resource in self._cloud.all(TARGET_GROUP_ATTACHMENT, region=region):
            group = cast("FakeTargetGroup | None", backend.target_groups.get(resource.attribute("targetGroupArn")))
            target: str = resource.attribute("targetId")
            if group is not None and target in machines:
                # Registered by hand: moto's own way asks its EC2 for the machine.
                group.targets[target] = {"Id": target, "Port": group.port}

    def observe_secrets(self) -> None:
        """Take the secrets and their replicas.

        A replica outlives its primary: AWS deletes no secret that has replicas, so that one that is gone from the
        cloud went with its region.
        """
        versions = {version.attribute("secretId"): version for version in self._cloud.all(SECRET_VERSION)}
        for place in self._primaries:
            self._secrets.pop(place, None)
        self._primaries.clear()
        for resource in self._cloud.all(SECRET):
            version = versions.get(resource.id)
            if version is None:
                continue
            name: str = resource.attribute("name")
            self._primaries.add((resource.region, name))
            replicas = cast("Iterable[Mapping[str, str]]", resource.attribute("replicas") or ())
            for region in (resource.region, *(replica["region"] for replica in replicas)):
                self._secrets[region, name] = _made_secret(resource, version, region)

    def _secret_values(self, region: str, _: datetime) -> None:
        before = {name for place, name in self._secrets if place == region}
        self.observe_secrets()
        secrets = _backend("secretsmanager", region).secrets
        for name in before:
            secrets.pop(name)
        for (place, name), secret in self._secrets.items():
            if place == region:
                secrets[name] = secret

    def _metrics(self, region: str, now: datetime) -> None:
        backend = _backend("cloudwatch", region)
        ours = {id(datum) for datum in self._data.get(region, [])}
        kept = [datum for datum in backend.metric_data if id(datum) not in ours]
        data = list[MetricDatum]()
        minutes = [now - DATAPOINT_AGE - timedelta(minutes=ago) for ago in reversed(range(DATAPOINTS))]
        for resource in self._cloud.all(DATABASE, region=region):
            if not resource.attribute("replicateSourceDb"):
                continue
            identifier: str = resource.attribute("identifier")
            lag, last = self.lags.get(identifier, (LAG_SECONDS, None))
            if lag is not None:
                data += [
                    _datum("AWS/RDS", "ReplicaLag", lag, {"DBInstanceIdentifier": identifier}, when)
                    for when in ([last] if last else minutes)
                ]
        published = now - PUBLISHED_AGO
        data += [
            _datum(NAMESPACE, CERTIFICATE_DAYS, CERTIFICATE_DAYS_LEFT, {CERTIFICATE_DIMENSION: label}, published)
            for label in Certificate
        ]
        self._data[region] = data
        backend.metric_data = kept + data


def forget() -> None:
    """Empty every backend of moto."""
    BackendDict.reset()
    s3_backends.bucket_accounts.clear()


def _backend(service: str, region: str) -> Any:
    """Return moto's backend of a service; its types do not say what is done with it here."""
    backends: Any = cast(Any, get_backend)(service)
    return backends[DEFAULT_ACCOUNT_ID][region]


def _made(kind: type[Model]) -> Callable[..., Model]:
    """Return what makes a model of moto: its metaclass hides what the class is."""
    return cast("Callable[..., Model]", kind)


def _public(policy: Resource) -> bytes | None:
    """Return what of a bucket's policy allows everyone something without conditions, None when nothing does.

    moto reads no conditions: it would take "nobody without TLS" for "nobody".
    """
    content: Any = json.loads(policy.attribute("policy"))
    statements = [
        statement
        for statement in content["Statement"]
        if statement["Effect"] == "Allow" and statement["Principal"] == "*" and "Condition" not in statement
    ]
    return json.dumps({**content, "Statement": statements}).encode() if statements else None


def _made_secret(resource: Resource, version: Resource, region: str) -> FakeSecret:
    text, identity = str(version.attribute("secretString")), str(version.attribute("versionId"))
    secret = _made(FakeSecret)(
        DEFAULT_ACCOUNT_ID,
        region,
        resource.attribute("name"),
        {"secret_string": text, "createdate": 0, "version_id": identity, "version_stages": ["AWSCURRENT"]},
        identity,
        secret_string=text,
    )
    secret.arn = resource.id.replace(f":{resource.region}:", f":{region}:")
    return secret


def _datum(namespace: str, name: str, value: float, dimensions: Mapping[str, str], when: datetime) -> MetricDatum:
    pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    # moto keeps times without their zone, all of them UTC.
    return _made(MetricDatum)(namespace, name, value, pairs, when.astimezone(UTC).replace(tzinfo=None))
