"""The AWS APIs of one region, asked with a deadline: a region that is dark must cost seconds, not minutes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.problems import Unknown

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_efs import EFSClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient

CONNECT_SECONDS = 5
"""Time for a connection: a round trip around the world takes 0.3 s, and one lost packet another second."""

READ_SECONDS = 10
"""Time for an answer: the calls that are made here answer in under a second."""

ATTEMPTS = 3
"""Tries in all, as botocore's standard mode has by default: a lost packet is no verdict. Stated, because
AWS_MAX_ATTEMPTS and the user's configuration file could say otherwise."""


class Region:
    """One region's APIs. A client is made when it is first asked for; threads may share them."""

    def __init__(self, name: str) -> None:
        """Ask nothing yet; ``name`` is AWS's name of the region."""
        self.name = name
        self._session = botocore.session.Session()
        # Signing in by a role is done in this region too: a user's own settings may send it to us-east-1.
        for variable, value in {"region": name, "sts_regional_endpoints": "regional"}.items():
            cast(Any, self._session).set_config_variable(variable, value)
        # A session is not safe to make clients with on two threads at once; the clients are safe to use
        # (https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients).
        self._making = Lock()

    @cached_property
    def s3(self) -> S3Client:
        """S3."""
        return self._client("s3")

    @cached_property
    def efs(self) -> EFSClient:
        """EFS."""
        return self._client("efs")

    @cached_property
    def rds(self) -> RDSClient:
        """RDS."""
        return self._client("rds")

    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        """EC2 Auto Scaling."""
        return self._client("autoscaling")

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """CloudWatch."""
        return self._client("cloudwatch")

    @cached_property
    def elbv2(self) -> ElasticLoadBalancingv2Client:
        """Elastic Load Balancing."""
        return self._client("elbv2")

    @cached_property
    def secrets(self) -> SecretsManagerClient:
        """Secrets Manager."""
        return self._client("secretsmanager")

    @cached_property
    def sts(self) -> STSClient:
        """STS."""
        return self._client("sts")

    def _client(self, service: str) -> Any:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        with self._making:
            return cast(Any, self._session).create_client(service, region_name=self.name, config=config)


@contextmanager
def asked(what: str) -> Generator[None]:
    """Turn a question that AWS did not answer, or refused, into something unknown.

    Args:
        what: what was to be learned, or done, as the beginning of a sentence.

    Raises:
        Unknown: AWS did not answer, or refused.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unknown(f"{what}: {' '.join(str(error).split())}") from error
