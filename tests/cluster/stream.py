"""A user of the region in its course: writes, reads, and asks the groups how they are, until it is told to end.

Run as a program on a node, by that node's Python. The first line that it reads is a JSON object: ``names`` (the
public name of a service), ``headers`` (by service), ``folder`` (where keys go) and ``reads`` (what is read of which
service). Any other line has it read less often. At the end of the input it says what it saw, a JSON object.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from typing import Any, Dict, List, Tuple  # noqa: UP035  (a node has Python 3.9)

OFTEN, SELDOM = 0.02, 0.3
"""Seconds between two reads: so often that one meets each moment of a reload; and then with little work."""

WRITE = 0.05
"""Seconds between two writes."""

LOOK = 0.25
"""Seconds between two looks at the groups: their own look is every two."""

SILENCE = 10
"""Longest that an answer takes: HAProxy leaves a dead server within three seconds."""


def main() -> None:
    """Do all of it until the input ends."""
    given: Dict[str, Any] = json.loads(sys.stdin.readline())  # noqa: UP006
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    ended, seldom = threading.Event(), threading.Event()
    seen: Dict[str, List[Any]] = {name: [] for name in ("written", "refused", "read", "failed", "looks")}  # noqa: UP006

    def ask(service: str, method: str, path: str, body: str | None = None) -> Tuple[int, str]:  # noqa: UP006
        link = http.client.HTTPSConnection(given["names"][service], timeout=SILENCE, context=tls)
        try:
            link.request(method, path, body, given["headers"][service])
            answer = link.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}"
        finally:
            link.close()

    def write() -> None:
        number = 0
        while not ended.wait(WRITE):
            status, said = ask("consul", "PUT", f"/v1/kv/{given['folder']}/{number}", str(number))
            if status == http.HTTPStatus.OK and said.strip() == "true":
                seen["written"].append(number)
                number += 1
            else:
                seen["refused"].append([time.time(), status, said[:200]])

    def read() -> None:
        while not ended.wait(SELDOM if seldom.is_set() else OFTEN):
            for service, path in given["reads"].items():
                began = time.time()
                status, said = ask(service, "GET", path)
                seen["read"].append(began)
                if status != http.HTTPStatus.OK:
                    seen["failed"].append([began, service, status, said[:200]])

    def look() -> None:
        while not ended.wait(LOOK):
            began, whole = time.time(), True
            for service in ("consul", "nomad"):
                status, said = ask(service, "GET", "/v1/operator/autopilot/health")
                # One of three may be lost: all are there.
                whole = whole and status == http.HTTPStatus.OK and json.loads(said)["FailureTolerance"] == 1
            seen["looks"].append([began, whole])

    threads = [threading.Thread(target=course) for course in (write, read, look)]
    for thread in threads:
        thread.start()
    for _ in sys.stdin:
        seldom.set()
    ended.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
