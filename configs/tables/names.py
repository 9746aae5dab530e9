"""What everything is called: one place, so that a stack finds another's things by name, not by its state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PROJECT = "mlops-ha"
"""Name of the Pulumi project, and value of the ``Project`` tag."""


class Service(StrEnum):
    """The services with a public name, by the first label of that name."""

    CONSUL = "consul"
    NOMAD = "nomad"
    PROMETHEUS = "prometheus"
    GRAFANA = "grafana"


@dataclass(frozen=True)
class PublicNames:
    """Names in the hosted zone of ``domain``."""

    domain: str

    @property
    def origin(self) -> str:
        """The failover name: answers with the region that serves."""
        return f"origin.{self.domain}"

    def service(self, service: Service) -> str:
        """Return the name people use; it follows the failover."""
        return f"{service}.{self.domain}"

    def regional(self, service: Service, region: str) -> str:
        """Return the name of the service in one region, whatever the failover says."""
        return f"{service}.{region}.{self.domain}"

    def regional_origin(self, region: str) -> str:
        """Return the name of one region's load balancer: what the health check asks."""
        return f"origin.{region}.{self.domain}"

    def all_regional(self, region: str) -> tuple[str, ...]:
        """Return every name of one region."""
        return (self.regional_origin(region), *(self.regional(service, region) for service in Service))

    def all_public(self) -> tuple[str, ...]:
        """Return every name that follows the failover."""
        return (self.origin, *(self.service(service) for service in Service))


class EncryptionKeyName(StrEnum):
    """The platform's encryption keys."""

    REGION = "region"
    """What never leaves the region: volumes, database, bundles, logs. Each stack has its own."""
    SHARED = "shared"
    """What is replicated: secrets, file system, backups, images. A multi-region key of the primary stack's, with
    a replica wherever a copy lies."""


def datacenter(prefix: str, region: str) -> str:
    """Return the Consul datacenter that a region of a platform is."""
    return f"{prefix}-{region}"


@dataclass(frozen=True)
class Names:
    """Names in one region of one account.

    ``prefix`` is the platform's name: two platforms in one account differ by it. Names that AWS keeps per
    account (IAM) carry the region, names that it keeps for the whole world (buckets) also the account.
    """

    prefix: str
    account: str
    region: str

    @property
    def datacenter(self) -> str:
        """Consul's datacenter: a region is one."""
        return datacenter(self.prefix, self.region)

    def regional(self, purpose: str) -> str:
        """Return a name that must be unique within the region."""
        return f"{self.prefix}-{purpose}"

    def account_wide(self, purpose: str) -> str:
        """Return a name that must be unique within the account."""
        return f"{self.prefix}-{self.region}-{purpose}"

    def log_group(self, purpose: str) -> str:
        """Return the name of a CloudWatch log group."""
        return f"/{self.prefix}/{purpose}"

    def bucket(self, purpose: str) -> str:
        """Return the name of an S3 bucket."""
        return f"{self.prefix}-{self.account}-{self.region}-{purpose}"

    def bucket_arn(self, purpose: str) -> str:
        """Return the ARN of an S3 bucket."""
        return f"arn:aws:s3:::{self.bucket(purpose)}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something of this region and account, like ``rds`` and ``db:mlops-postgres``."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, purpose: str) -> str:
        """Return the ARN of the IAM role ``account_wide(purpose)``."""
        return f"arn:aws:iam::{self.account}:role/{self.account_wide(purpose)}"

    def key_alias(self, key: EncryptionKeyName) -> str:
        """Return the alias of an encryption key: the same name for a key and for its replicas elsewhere."""
        return f"alias/{self.prefix}-{key}"

    def secret(self, reader: str) -> str:
        """Return the name of the secret with what a reader needs: the same in every region it is replicated to."""
        return f"{self.prefix}/{reader}"

    def secret_arn(self, reader: str) -> str:
        """Return the ARN of a secret, as policies name it: Secrets Manager ends it with six characters of its own."""
        return self.arn("secretsmanager", f"secret:{self.secret(reader)}-??????")

    def repository(self, image: str) -> str:
        """Return the name of the ECR repository of an image."""
        return f"{self.prefix}/{image}"

    def registry_host(self) -> str:
        """Return the host of the account's image registry in the region."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    def bucket_host(self, purpose: str) -> str:
        """Return the host that serves the bucket's objects from its own region, virtual-hosted style."""
        return f"{self.bucket(purpose)}.s3.{self.region}.amazonaws.com"


BUNDLES_BUCKET = "bundles"
"""Purpose of the bucket in each region that nodes fetch their bundle from, and report to."""

BACKUPS_BUCKET = "backups"
"""Purpose of the bucket of snapshots and of the list of images: the source in the primary region, its replica in the
standby region, so that nodes find it by the same name in either."""

IMAGES_INDEX_KEY = "images/index.json"
"""Key in the backups bucket of the list of images: which repository, tag and digest nodes run, in either region."""

ARCHIVE_BUCKET = "archive"
"""Purpose of the bucket in the archive region: a copy of the backups under Object Lock."""

DATABASE = "postgres"
"""Name of the database behind the prefix; the standby's replica finds its source by it."""

ML_DATA = "ml-data"
"""Name of the shared file system behind the prefix; the standby finds the replica by it (as creation token)."""

WORKERS = "workers"
"""Name of the workers' Auto Scaling group behind the prefix."""

DRAIN_HOOK = "drain"
"""Name of the lifecycle hook that keeps a worker until its jobs are saved."""

TURN_KEY = "locks/control-plane"
"""Key in the bundles bucket of the lock that a server holds while it restarts something."""

SWITCH_BUCKET = "failover-switch"
"""Purpose of the bucket in the standby region that holds the failover switch."""

SWITCH_KEY = "region-failed-over"
"""Key of the failover switch: while this object exists, traffic goes to the standby region."""

SWITCH_FAILURE_THRESHOLD = 1
"""The switch's object is there or it is not: one look decides, and one look is what a new check waits for."""

HEALTH_PATH = "/healthz"
"""What health checks ask a load balancer for."""
