"""Everything that a run of the program imports, imported once: runs are forked from a process that has it."""

import pulumi_cloudflare
import pulumi_docker
import pulumi_random
import pulumi_tls

import boot_agent
import components.platform
import gates.health_check
import gates.quorum
import gates.role_switch
from configs.bundle import bundle
from configs.context import BundleFacts
from configs.nodes import nodes
from engine.stack_files import ROOT, STACKS, stack_settings
from engine.steps import PACKAGES
from offline.rules.model import package_rules
from offline.sdk_types import input_types, output_names, required_inputs

_ = (pulumi_cloudflare, pulumi_docker, pulumi_random, pulumi_tls)
_ = (boot_agent, components.platform, gates.health_check, gates.quorum, gates.role_switch)
# The SDKs import their parts when a type is first asked for.
for package in PACKAGES:
    for token in package_rules(package):
        _ = (input_types(token), output_names(token), required_inputs(token))
# Templates are compiled when they are first filled.
for stack in STACKS:
    settings = stack_settings(ROOT, stack)
    _ = [bundle(settings, node, BundleFacts("", "")) for node in nodes(settings)]
