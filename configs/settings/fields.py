"""Kinds of value that settings are made of. Each says in plain words what it allows."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticKnownError

from configs.tables.addresses import LARGEST_PREFIX, SMALLEST_PREFIX
from configs.tables.capacity import INSTANCE_TYPES


class Block(BaseModel):
    """A block of settings: immutable, camelCase in the stack file, an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=False,
        use_attribute_docstrings=True,
    )


def _matches(pattern: str, allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        # ASCII: otherwise \d takes the digits of every script.
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(allowed)
        return value

    return check


def _text(pattern: str, allowed: str) -> tuple[AfterValidator, object]:
    return AfterValidator(_matches(pattern, allowed)), Field(
        json_schema_extra={"pattern": f"^{pattern}$", "x-allowed": allowed}
    )


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# 253 bytes is a name's limit (RFC 1035); the longest name that we put in front is "prometheus.<region>.".
_DOMAIN = rf"(?=.{{4,220}}$)({_LABEL}\.)+[a-z]([a-z0-9-]*[a-z0-9])?"
_EMAIL = rf"[A-Za-z0-9._%+-]+@({_LABEL}\.)+[a-z]{{2,}}"

AccountId = Annotated[str, *_text(r"\d{12}", 'an account id: 12 digits in quotes, like "123456789012"')]
AvailabilityZone = Annotated[str, *_text(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "an availability zone, like us-east-1a")]
BucketPrefix = Annotated[
    # 12 characters leave the longest derived name, a load balancer's, within its 32.
    str, *_text(r"[a-z][a-z0-9]{1,11}", "2 to 12 lower-case letters and digits, a letter first, like mlops")
]
Domain = Annotated[str, *_text(_DOMAIN, "a domain name in lower case without a final dot, like mlops.example.com")]
EmailAddress = Annotated[str, *_text(_EMAIL, "an e-mail address, like oncall@example.com")]
HostedZoneId = Annotated[str, *_text(r"Z[A-Z0-9]{7,31}", "a Route 53 hosted zone id, like Z0123456789ABCDEFGHIJ")]
HttpsUrl = Annotated[str, *_text(r"https://[^\s/]+(/\S*)?", "an https:// address")]
ImageId = Annotated[str, *_text(r"ami-[0-9a-f]{17}", "an image id: ami- and 17 hexadecimal digits")]
PrefixListId = Annotated[str, *_text(r"pl-[0-9a-f]{8,17}", "a prefix list id: pl- and 8 to 17 hexadecimal digits")]
DatabaseClass = Annotated[
    str,
    # Its connections are reckoned from the size: one that AWS does not sell is refused here.
    *_text(r"db\.[a-z0-9]+\.(micro|small|medium|large|[0-9]*xlarge)", "an RDS instance class, like db.m6i.large"),
]
RegionName = Annotated[str, *_text(r"[a-z]{2}(-[a-z]+)+-\d", "a region, like us-east-1")]
SlackChannel = Annotated[str, *_text(r"#[a-z0-9_-]{1,79}", 'a Slack channel in quotes, like "#mlops-alerts"')]
VersionNumber = Annotated[str, *_text(r"\d+(\.\d+){0,2}", 'a version in quotes, like "1.22.3"')]
UserName = Annotated[str, *_text("[!-~]+", "a user name: printable characters without a space, like mlops")]
CloudflareZoneId = Annotated[str, *_text(r"[0-9a-f]{32}", "a Cloudflare zone id: 32 hexadecimal digits")]
MaintenanceWindow = Annotated[
    str,
    *_text(
        r"(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d-(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d",
        "a weekly window in UTC, like sun:05:00-sun:06:00",
    ),
]
BackupWindow = Annotated[
    str,
    *_text(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", "a daily window in UTC, like 03:00-04:00"),
]


def _known_type(value: str) -> str:
    if value not in INSTANCE_TYPES:
        raise ValueError(_KNOWN_TYPES)
    return value


_KNOWN_TYPES = f"an EC2 type that is known here: {', '.join(INSTANCE_TYPES)}"
InstanceTypeName = Annotated[
    str,
    AfterValidator(_known_type),
    Field(json_schema_extra={"enum": list(INSTANCE_TYPES), "x-allowed": _KNOWN_TYPES}),
]


def _arn(service: str) -> tuple[AfterValidator, object]:
    return _text(
        rf"arn:aws:{service}:[a-z0-9-]+:\d{{12}}:\S+",
        f"an ARN of {service}, like arn:aws:{service}:us-east-1:123456789012:...",
    )


CertificateArn = Annotated[str, *_arn("acm")]
SecretArn = Annotated[str, *_arn("secretsmanager")]


def _whole_number(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


# Literal alone also takes true for 1 and 3.0 for 3.
WholeNumber = BeforeValidator(_whole_number)

_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918. What Python calls private also holds loopback, link-local and other ranges that no VPC can have."""


def _range(value: object) -> IPv4Network:
    try:
        return IPv4Network(str(value))
    except ValueError as error:
        raise ValueError("an IPv4 range that begins at its first address, like 10.10.0.0/16") from error


_REGION_SIZED = f"a private range between /{LARGEST_PREFIX} and /{SMALLEST_PREFIX}, like 10.10.0.0/16"


def _region_sized(value: IPv4Network) -> IPv4Network:
    if not LARGEST_PREFIX <= value.prefixlen <= SMALLEST_PREFIX or not any(map(value.subnet_of, _PRIVATE)):
        raise ValueError(_REGION_SIZED)
    return value


_NOT_THE_WORLD = "a range of your own, /8 or smaller, like 203.0.113.0/24: never the whole internet"


def _not_the_world(value: IPv4Network) -> IPv4Network:
    # /8 is the largest block that one organisation was ever given; anything larger is "everyone".
    if value.prefixlen < 8:
        raise ValueError(_NOT_THE_WORLD)
    return value


def _cidr(check: Callable[[IPv4Network], IPv4Network], allowed: str) -> tuple[object, ...]:
    return (
        PlainValidator(_range, json_schema_input_type=str),
        AfterValidator(check),
        Field(json_schema_extra={"x-allowed": allowed}),
    )


RegionCidr = Annotated[IPv4Network, *_cidr(_region_sized, _REGION_SIZED)]
CallerCidr = Annotated[IPv4Network, *_cidr(_not_the_world, _NOT_THE_WORLD)]
