"""One AWS account over an offline cloud: its APIs at one address on loopback, answered by moto.

A region can go dark, and a service can be refused, while it serves: how the failover behaves then is what it is for.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from typing_extensions import override
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from engine.tokens import HEALTH_CHECK
from lab.autoscaling import expire, extend
from lab.calls import CLIENTS, ApiCall, ApiRequest, bucket_region, call_of, refusal
from lab.mirror import Mirror, forget
from lab.replication import Answer, Replications
from offline.cloud import Cloud
from offline.endpoint import health_check_status

_SERVING = threading.Lock()
"""moto keeps one account in a process: a second account of the same process would see the first one's things."""


STOP_SECONDS = 0.05
"""How often the server looks whether it is to stop: half a second, as is usual, every test would wait."""


class _Handler(MotoRequestHandler):
    """moto's own, but it says nothing, because the output is what people read, and drops what is to be dropped."""

    @override
    def connection_dropped(self, error: BaseException, environ: Mapping[str, Any] | None = None) -> None:
        # Otherwise it stays open for the next request, and the client waits until its own deadline.
        self.close_connection = True

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@dataclass
class Account:
    """The account. What a test changes takes effect with the next request.

    Attributes:
        url: its address, for ``AWS_ENDPOINT_URL``.
        dark_regions: regions whose APIs do not answer: the connection is dropped.
        refused_services: services that answer 403, by the SDK's name or the name that requests are signed with.
        calls: every call, in their order, answered or not.
        refusals: those that were refused. A refusal is recorded in the dark as well.
        database_status: the status of databases that is not "available", by identifier, in whichever region.
    """

    url: str
    _mirror: Mirror
    _replications: Replications
    dark_regions: set[str] = field(default_factory=set[str])
    refused_services: set[str] = field(default_factory=set[str])
    calls: list[ApiCall] = field(default_factory=list[ApiCall])
    refusals: list[ApiCall] = field(default_factory=list[ApiCall])

    @property
    def database_status(self) -> dict[str, str]:
        """The status of databases that is not "available", by identifier."""
        return self._mirror.database_status

    def holds(self, bucket: str, key: str) -> bool:
        """Say whether an object is there that a client wrote."""
        return self._mirror.holds(bucket, key)

    def lag(self, identifier: str, seconds: float | None, at: datetime | None = None) -> None:
        """Set how far the replica ``identifier`` is behind.

        Args:
            identifier: the database.
            seconds: what CloudWatch has as its ReplicaLag; -1 while RDS does not know, None when it has no datapoint.
            at: when the last datapoint was: it stays the only one. Without it there is one for each minute.
        """
        self._mirror.lags[identifier] = (seconds, at)

    def replicated(self, at: datetime | None) -> None:
        """Set when file systems were last synchronised; None: five minutes ago, always."""
        self._replications.last_replicated = at


@contextmanager
def account(cloud: Cloud) -> Generator[Account]:
    """Serve the account of a cloud while the block runs.

    The cloud may be changed meanwhile, by other processes too.

    Raises:
        RuntimeError: this process serves an account already.
    """
    if not _SERVING.acquire(blocking=False):
        raise RuntimeError("This process serves an account already, and moto has only one.")
    try:
        forget()
        extend()
        replications = Replications(cloud)
        mirror = Mirror(cloud, replications)
        served = Account("", mirror, replications)
        application = _Application(cloud, served, mirror, replications)
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Handler)
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(STOP_SECONDS,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            forget()
    finally:
        _SERVING.release()


class _Application:
    """The account's APIs as a WSGI application."""

    def __init__(self, cloud: Cloud, served: Account, mirror: Mirror, replications: Replications) -> None:
        self._cloud = cloud
        self._account = served
        self._mirror = mirror
        self._replications = replications
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        # moto's backends are plain dictionaries, and the mirror changes them.
        self._lock = threading.Lock()
        # A region that is lost later leaves these behind in the other one.
        replications.observe(datetime.now(UTC))
        mirror.observe_secrets()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        received = Request(environ)
        body = received.get_data()
        # moto reads the body again, which can be read once.
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        request = ApiRequest(
            method=received.method,
            path=received.path,
            query=dict(parse_qsl(received.query_string.decode(), keep_blank_values=True)),
            headers={name.lower(): value for name, value in received.headers.items()},
            body=body,
        )
        call = call_of(request)
        self._account.calls.append(call)
        if self._refused(call.service):
            self._account.refusals.append(call)
            return _response(refusal(request))(environ, start_response)
        if self._dark(call, request):
            # What werkzeug takes for a client that is gone: it sends nothing.
            raise ConnectionAbortedError(f"{call.region} is dark")
        now = datetime.now(UTC)
        with self._lock:
            answer = self._own(request, call, now)
            if answer is not None:
                return _response(answer)(environ, start_response)
            return self._motos(request, call, environ, now)(environ, start_response)

    def _refused(self, service: str) -> bool:
        refused = self._account.refused_services
        return bool({service, *(name for name, client in CLIENTS.items() if client == service)} & refused)

    def _dark(self, call: ApiCall, request: ApiRequest) -> bool:
        regions = {call.region}
        if call.service == "s3":
            # Whatever region a client signs for, a bucket is where it is.
            regions.add(bucket_region(request.bucket_and_key[0]) or call.region)
        return bool(regions & self._account.dark_regions)

    def _own(self, request: ApiRequest, call: ApiCall, now: datetime) -> Answer | None:
        """Answer what moto lacks, None when it has it."""
        if call.service == "route53" and call.operation == "GetHealthCheckStatus":
            identity = request.path.split("/")[3]
            status, body = health_check_status(self._cloud.find(HEALTH_CHECK, value=identity))
            return status, body, {"Content-Type": "text/xml"}
        if call.service == "efs":
            self._replications.observe(now)
            return self._replications.answer(request, call, self._account.dark_regions, now)
        return None

    def _motos(self, request: ApiRequest, call: ApiCall, environ: dict[str, Any], now: datetime) -> Response:
        """Let moto answer, with what the cloud has now."""
        bucket, key = request.bucket_and_key
        if call.service == "s3":
            self._mirror.buckets()
            if key and request.method in ("GET", "HEAD"):
                self._mirror.object_of(bucket, key, now)
        elif call.service in self._mirror.services:
            self._mirror.services[call.service](call.region, now)
            if call.service == "autoscaling":
                expire(call.region)
        response = Response.from_app(self._moto, environ, buffered=True)
        if call.service == "s3" and key and response.status_code < 300:
            if request.method == "PUT":
                self._mirror.wrote(bucket, key)
            elif request.method == "DELETE":
                self._mirror.deleted(bucket, key)
        return response


def _response(answer: Answer) -> Response:
    status, body, headers = answer
    return Response(body, status, headers)
