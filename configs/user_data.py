"""What a machine is told at its first start: to fetch the boot agent, run it, and never stop trying.

The same for every machine of a region, and final: on AWS a change of user data stops a server and starts it again.
What may change stands in the bundle, and in the agent, which replaces itself.
"""

from __future__ import annotations

import yaml

from configs.nodes import AGENT_KEY
from configs.tables.names import BUNDLES_BUCKET, Names

ENVIRONMENT_FILE = "/etc/mlops-ha/boot-agent.env"
SERVICE = "mlops-ha-boot-agent.service"

UNIT = f"""\
[Unit]
Description=Makes this machine what its bundle says
Wants=network-online.target
After=network-online.target
# Never give up: whatever is missing may come.
StartLimitIntervalSec=0

[Service]
EnvironmentFile={ENVIRONMENT_FILE}
StateDirectory=mlops-ha
# A minus: when S3 does not answer, the agent that was fetched before does.
ExecStartPre=-/usr/bin/aws s3 cp --only-show-errors s3://${{BUNDLES_BUCKET}}/{AGENT_KEY} /var/lib/mlops-ha/agent.py
ExecStart=/usr/bin/python3 /var/lib/mlops-ha/agent.py
Restart=always
# A machine is back within seconds, and a fault that stays costs one line in the journal each time.
RestartSec=10
# What it mounted lives on: EFS goes through a program that mount leaves running.
KillMode=process

[Install]
WantedBy=multi-user.target
"""
"""The systemd unit. Amazon Linux 2023 brings the AWS CLI and Python 3.9
(https://docs.aws.amazon.com/linux/al2023/ug/python.html)."""


def user_data(names: Names) -> str:
    """Return the cloud-config of every machine in a region (https://cloudinit.readthedocs.io)."""
    environment = f"AWS_DEFAULT_REGION={names.region}\nBUNDLES_BUCKET={names.bucket(BUNDLES_BUCKET)}\n"
    content = {
        "write_files": [
            {"path": ENVIRONMENT_FILE, "content": environment},
            {"path": f"/etc/systemd/system/{SERVICE}", "content": UNIT},
        ],
        # Once in the machine's life; enabled, it starts by itself ever after. Not waited for: it has no end.
        "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", SERVICE]],
    }
    return f"#cloud-config\n{yaml.safe_dump(content)}"
