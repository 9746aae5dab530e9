"""Which call of which API a request is, told from the request alone, and refusals in the form that each API has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote
from xml.etree import ElementTree

import botocore.session
from botocore.exceptions import UnknownServiceError

ANONYMOUS = "us-east-1"
"""Region of an unsigned request that names none: where S3's global address leads."""

CLIENTS = {
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
}
"""The SDK's name of a service by the name that requests are signed with, where they differ."""

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""

_BUCKET_REGION = re.compile(r"-\d{12}-(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)(?:-|$)")
"""Where in the name of a bucket its region is: ``configs.tables.names.Names.bucket``."""


@dataclass(frozen=True)
class ApiCall:
    """One call.

    Attributes:
        service: the SDK's name of the service, as it makes clients with: ``efs``, ``cloudwatch``.
        region: the region that the request was signed for.
        operation: the API's name of the operation; empty when the request is none that the SDK knows.
    """

    service: str
    region: str
    operation: str


@dataclass(frozen=True)
class ApiRequest:
    """What a request holds. ``path`` and ``query`` are decoded; ``headers`` have lower-case names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed the request."""
        return "authorization" not in self.headers

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """The bucket and the key that a request to S3 is about, path style; empty when it names none."""
        bucket, _, key = self.path.lstrip("/").partition("/")
        return bucket, key


def bucket_region(bucket: str) -> str | None:
    """Return the region that a bucket of the platform has in its name, None when it has none.

    >>> bucket_region("mlops-123456789012-us-west-2-bundles")
    'us-west-2'
    """
    found = _BUCKET_REGION.search(bucket)
    return found["region"] if found else None


def call_of(request: ApiRequest) -> ApiCall:
    """Return the call that a request is. One that nobody signed is S3's: no other API here answers such."""
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    if scope is None:
        region = bucket_region(request.bucket_and_key[0]) or ANONYMOUS
        return ApiCall("s3", region, _operation("s3", request))
    service = CLIENTS.get(scope["service"], scope["service"])
    return ApiCall(service, scope["region"], _operation(service, request))


def refusal(request: ApiRequest) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of "access denied", as the API of the request says it."""
    code, message = "AccessDenied", "The lab refuses this service"
    if request.path.startswith("/service/"):
        # RFC 8949: a map of two pairs of short text strings, which is all that CBOR needs here.
        body = b"\xa2" + b"".join(_cbor_text(text) for text in ("__type", code, "message", message))
        return 403, body, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    if "x-amz-target" in request.headers or request.path.startswith("/2015-02-01/"):
        body = json.dumps({"__type": code, "message": message}).encode()
        return 403, body, {"Content-Type": "application/json", "x-amzn-errortype": code}
    error = ElementTree.Element("Error")
    ElementTree.SubElement(error, "Code").text = code
    ElementTree.SubElement(error, "Message").text = message
    if call_of(request).service != "s3":
        response = ElementTree.Element("ErrorResponse")
        response.append(error)
        error = response
    return 403, ElementTree.tostring(error), {"Content-Type": "text/xml"}


def _cbor_text(text: str) -> bytes:
    encoded = text.encode()
    # Type 3, text; up to 23 bytes have their length in the first byte, up to 255 in the second.
    head = bytes([0x60 | len(encoded)]) if len(encoded) <= 23 else bytes([0x78, len(encoded)])
    return head + encoded


def _operation(service: str, request: ApiRequest) -> str:
    if request.path.startswith("/service/"):
        # Smithy RPC v2: /service/<service>/operation/<operation>
        return request.path.rpartition("/")[2]
    if "x-amz-target" in request.headers:
        return request.headers["x-amz-target"].rpartition(".")[2]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(request.body.decode()).get("Action", [""])[0]
    # Several operations can share method and path: that which asks for most, and has it all, is meant.
    matching = [
        (len(operation.query) + len(operation.required), operation.name)
        for operation in _rest_operations(service)
        if operation.method == request.method
        and operation.path.fullmatch(quote(request.path))
        and all(request.query.get(name) == value for name, value in operation.query.items())
        and operation.required <= request.query.keys() | request.headers.keys()
    ]
    return max(matching, key=lambda found: found[0], default=(0, ""))[1]


@dataclass(frozen=True)
class _RestOperation:
    """How an operation of a REST API is asked for.

    ``query`` is what of its query never changes, ``required`` what else must be in its query or headers.
    """

    name: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, str]
    required: frozenset[str]


@cache
def _rest_operations(service: str) -> tuple[_RestOperation, ...]:
    """Return the operations of a service, as the SDK describes them; none when it does not know the service."""
    session: Any = botocore.session.Session()
    try:
        model = session.get_service_model(service)
    except UnknownServiceError:
        return ()
    operations = list[_RestOperation]()
    for name in model.operation_names:
        described = model.operation_model(name)
        http: Mapping[str, str] = described.http
        path, _, query = http["requestUri"].partition("?")
        parts = re.split(r"(\{[^}]+\})", path)
        pattern = "".join(
            (".+" if part.endswith("+}") else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts
        )
        fixed = {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}
        # Tells operations of one path apart in the model alone; the SDK does not send it.
        fixed.pop("x-id", None)
        operations.append(_RestOperation(name, http["method"], re.compile(pattern), fixed, _required(described)))
    return tuple(operations)


def _required(described: Any) -> frozenset[str]:
    """Return what an operation needs in its query or, in lower case, in its headers."""
    shape = described.input_shape
    members: Mapping[str, Any] = shape.members if shape else {}
    places: list[Mapping[str, str]] = [
        members[name].serialization for name in (shape.required_members if shape else ())
    ]
    return frozenset(
        place["name"].lower() if place["location"] == "header" else place["name"]
        for place in places
        if place.get("location") in ("header", "querystring")
    )
