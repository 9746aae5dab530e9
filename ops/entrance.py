"""A region's public entrance: its load balancer, asked by the regional names, whatever DNS failover says."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

import httpx

from configs.settings.model import InternalCertificates, Settings
from configs.tables.flows import HTTPS, Role
from configs.tables.names import Names, PublicNames, Service
from configs.tables.secrets import CA_CERTIFICATE
from ops.aws import CONNECT_SECONDS, READ_SECONDS, Region, asked
from ops.dns import Resolvers
from ops.problems import Unknown

DEADLINES = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
"""What AWS is given suffices for a service behind one load balancer."""


class NamedTransport(httpx.BaseTransport):
    """Connects to an address that ``addresses`` gives for the URL's name; TLS and HTTP still speak of the name.

    The addresses are tried in their order until one takes the connection. No connection is used twice: one that was
    opened for one name would be used for another name at the same address.
    """

    def __init__(self, addresses: Callable[[str], Iterable[str]], context: ssl.SSLContext, https_port: int) -> None:
        """Ask nothing yet; ``https_port`` stands in for the URL's port, which is HTTPS's own."""
        self._addresses, self._port = addresses, https_port
        self._inner = httpx.HTTPTransport(
            verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            Unknown: ``addresses`` does not know.
            httpx.TransportError: no address takes the connection, or the answer does not come.
        """
        name = request.url.host
        refused: httpx.TransportError = httpx.ConnectError(f"{name} has no address", request=request)
        for address in sorted(self._addresses(name)):
            addressed = httpx.Request(
                request.method,
                request.url.copy_with(host=address, port=self._port),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": name},
            )
            try:
                return self._inner.handle_request(addressed)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                refused = error
        raise refused

    def close(self) -> None:
        """Let go of what is still connected."""
        self._inner.close()


class Entrance:
    """The load balancer of one region, and whom its certificate is checked against."""

    def __init__(
        self,
        public_names: PublicNames,
        region: str,
        resolvers: Resolvers,
        context: ssl.SSLContext,
        https_port: int = HTTPS.port,
    ) -> None:
        """Ask nothing yet.

        Args:
            public_names: the platform's names.
            region: AWS's name of the region.
            resolvers: whoever knows the regional names' addresses.
            context: whose certificates are believed.
            https_port: where the load balancer listens; another one only where a machine stands in for regions.
        """
        self._names, self._region = public_names, region
        self._resolvers, self._context, self._port = resolvers, context, https_port

    def client(self, service: Service, timeout: httpx.Timeout = DEADLINES) -> httpx.Client:
        """Return a client of one service. It takes paths, opens nothing yet, and is to be closed."""
        return httpx.Client(
            base_url=f"https://{self._names.regional(service, self._region)}",
            transport=NamedTransport(self._resolvers.addresses, self._context, self._port),
            timeout=timeout,
            trust_env=False,
        )


def reason(error: httpx.HTTPError) -> str:
    """Return why an answer did not come, for people: without the numbers of the system and lines of its library."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return re.sub(r"\[[^]]*\] | \(_ssl\.c:\d+\)", "", str(error)) or type(error).__name__


def secret_document(region: Region, names: Names, reader: Role) -> dict[str, str]:
    """Return the values that a role of nodes may read, from Secrets Manager in ``region``.

    Raises:
        Unknown: Secrets Manager does not answer, or what it holds is no such document.
    """
    name = names.secret(reader)
    with asked(f"the secret {name} in {region.name}"):
        text = region.secrets.get_secret_value(SecretId=name)["SecretString"]
    try:
        document: object = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # The content stays out of the message: it is secret, also when it is malformed.
        raise Unknown(f"the secret {name} in {region.name}: it is no JSON object")
    return {str(key): str(value) for key, value in cast(dict[Any, Any], document).items()}


def secret_value(document: dict[str, str], key: str) -> str:
    """Return one value of a document.

    Raises:
        Unknown: it is not there.
    """
    if key not in document:
        raise Unknown(f"the secret value {key}: the document has no such key")
    return document[key]


def trust(settings: Settings, load_balancer: dict[str, str]) -> ssl.SSLContext:
    """Return whose certificates are believed: the platform's own authority alone, if it issues the public ones.

    Args:
        settings: of the stack.
        load_balancer: the document of the load balancer's secret.

    Raises:
        Unknown: the document holds no certificate of the authority.
    """
    if not isinstance(settings.certificates, InternalCertificates):
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=secret_value(load_balancer, CA_CERTIFICATE))
    except ssl.SSLError as error:
        raise Unknown(f"the secret value {CA_CERTIFICATE}: it is no certificate in PEM ({error})") from error


def entrance(
    region: Region, names: Names, settings: Settings, resolvers: Resolvers, https_port: int = HTTPS.port
) -> Entrance:
    """Return the entrance of a region, with the platform's authority read from that region.

    Raises:
        Unknown: the authority's certificate cannot be learned.
    """
    context = trust(settings, secret_document(region, names, Role.LOAD_BALANCER))
    return Entrance(PublicNames(settings.domain), names.region, resolvers, context, https_port)
