"""What Grafana asks: the Prometheus and the Alertmanager of its own server.

https://grafana.com/docs/grafana/v12.4/administration/provisioning/#data-sources
"""

from __future__ import annotations

from configs.tables import flows
from configs.tables.certificates import LOOPBACK_ADDRESS

PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
"""Unique ids of the data sources."""


def sources() -> dict[str, object]:
    """Return the data sources: nobody changes them in the browser, as the file would change them back."""
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": PROMETHEUS,
                "type": "prometheus",
                "access": "proxy",
                "url": f"http://{LOOPBACK_ADDRESS}:{flows.PROMETHEUS.port}",
                "isDefault": True,
                "editable": False,
                # POST: long queries do not fit an address.
                "jsonData": {"httpMethod": "POST", "prometheusType": "Prometheus", "alertmanagerUid": ALERTMANAGER},
            },
            {
                "name": "Alertmanager",
                "uid": ALERTMANAGER,
                "type": "alertmanager",
                "access": "proxy",
                "url": f"http://{LOOPBACK_ADDRESS}:{flows.ALERTMANAGER.port}",
                "editable": False,
                "jsonData": {"implementation": "prometheus"},
            },
        ],
    }
