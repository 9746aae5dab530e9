"""A region's entrance to ask, with a name server that knows it."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from configs.tables.names import PublicNames
from lab.doors import Credentials, Door, ServerCertificate, open_door
from lab.names import name_server
from ops.dns import NameServer, Resolvers
from ops.entrance import Entrance


@contextmanager
def opened_entrance(
    names: PublicNames,
    region: str,
    credentials: Credentials,
    certificate: ServerCertificate,
    believed: str | None = None,
) -> Generator[tuple[Door, Entrance]]:
    """Open a region's entrance, and believe its authority or another one (in PEM)."""
    with ExitStack() as stack:
        door = stack.enter_context(open_door(Door(names, region, credentials), certificate))
        server = stack.enter_context(name_server(door.addresses.get))
        context = ssl.create_default_context(cadata=believed or certificate.authority)
        yield door, Entrance(names, region, Resolvers([NameServer(*server)]), context, door.https_port)
