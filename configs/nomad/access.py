"""Who may do what in Nomad besides its administrators: the autoscaler.

Rules: https://developer.hashicorp.com/nomad/docs/other-specifications/acl-policy
Figures need no token: https://developer.hashicorp.com/nomad/api-docs/metrics
"""

from __future__ import annotations

import json

from configs.consul.access import NOMAD_NAMESPACE
from configs.context import Context
from configs.manifest import Call, NamedToken
from configs.nomad_autoscaler.service import LOCK_PATH, TOKEN_FILE, TOKEN_TEXT
from configs.tables.accounts import NOMAD_AUTOSCALER
from configs.tables.names import Service
from configs.text import template

AUTOSCALER = "autoscaler"
"""Policy and token of the autoscaler."""


def calls(context: Context) -> tuple[Call, ...]:
    """Return what makes access control as it is to be."""
    del context
    rules = template("configs", f"nomad/policies/{AUTOSCALER}.hcl.j2", namespace=NOMAD_NAMESPACE, lock=LOCK_PATH)
    path = f"/v1/acl/policy/{AUTOSCALER}"
    body = {"Name": AUTOSCALER, "Description": rules.splitlines()[0].removeprefix("# "), "Rules": rules}
    return (
        Call(
            service=Service.NOMAD,
            name=f"policy {AUTOSCALER}",
            read=path,
            write=path,
            body=json.dumps(body, sort_keys=True),
            compared=tuple(sorted(body)),
        ),
    )


def tokens(context: Context) -> tuple[NamedToken, ...]:
    """Return the tokens whose secrets Nomad chooses, and where each is written."""
    del context
    return (
        NamedToken(
            name=AUTOSCALER,
            policies=(AUTOSCALER,),
            path=TOKEN_FILE,
            owner=NOMAD_AUTOSCALER.name,
            text=TOKEN_TEXT,
        ),
    )
