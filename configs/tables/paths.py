"""Where things lie on a node. What a container sees of them it sees under the same path."""

from __future__ import annotations

CONFIGURATION = "/etc/mlops-ha"
"""Folder of configuration, a folder for each service."""

SECRETS = "/run/mlops-ha"
"""Folder of secrets, a folder for each service. ``/run`` is memory: what is in there is gone with the machine."""

PROGRAMS = "/opt/mlops-ha/bin"
"""Folder of the programs of the host, taken out of their images."""

UNITS = "/etc/systemd/system"
"""Folder of systemd's units."""

ACCOUNTS_FILE = "/etc/sysusers.d/mlops-ha.conf"
"""Accounts to make, in the form of sysusers.d(5)."""

DATA_DEVICE = "/dev/sdf"
"""The data volume of a server: the first name that EC2 recommends for one
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""

DATA_PATH = "/opt/data"
"""Folder of what services keep, a folder for each; on servers the data volume is mounted there."""

ML_DATA_PATH = "/opt/ml-data"
"""Where workers mount the shared file system."""

NODE_ENVIRONMENT = f"{SECRETS}/node.env"
"""What only the machine knows of itself, as variables: NODE_NAME, NODE_ADDRESS, INSTANCE_ID."""

FENCE_FOLDER = "/run/mlops-ha-fence"
"""Folder that load balancers see whole: a file that is replaced would stay the old one in a container."""

FENCE_PATH = f"{FENCE_FOLDER}/open"
"""A file that is there while users are let in. Outside of the folder of secrets: HAProxy and Nginx look at it as
users of their own. Not there, as after a start: users are kept away."""

METRICS_FOLDER = f"{SECRETS}/metrics"
"""Where the boot agent leaves its own figures for node exporter (its textfile collector)."""

AGENT = "boot-agent"
"""The boot agent's own folder among the secrets."""


def configuration(service: str, name: str) -> str:
    """Return the path of a service's configuration file."""
    return f"{CONFIGURATION}/{service}/{name}"


def secret(service: str, name: str) -> str:
    """Return the path of a service's secret file."""
    return f"{SECRETS}/{service}/{name}"


def data(service: str) -> str:
    """Return the folder of what a service keeps."""
    return f"{DATA_PATH}/{service}"


def unit_name(service: str) -> str:
    """Return the name of a service's systemd unit."""
    return f"mlops-ha-{service}.service"


def unit(service: str) -> str:
    """Return the path of a service's systemd unit."""
    return f"{UNITS}/{unit_name(service)}"


def image_environment(service: str) -> str:
    """Return the path of the file with the image that a container runs, as the variable IMAGE."""
    return f"{SECRETS}/{service}.image.env"
