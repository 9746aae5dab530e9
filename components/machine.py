"""A machine with a fixed address: it may be replaced, its address and its data stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.nodes import NODE_TAG, Node, bundle_key
from configs.tables.paths import DATA_DEVICE

ROOT_GIGABYTES = 30
"""Amazon Linux takes 2, the images and binaries of a node's services some 5, twice while they are updated, and the
journal at most 4 (systemd's own cap). The image's own 8 would be full after the first update."""


@dataclass(frozen=True)
class Launch:
    """What the machines of a role share. ``instance_profile`` is a name, ``user_data`` plain text."""

    image_id: str
    instance_profile: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    user_data: pulumi.Input[str]
    bundles_bucket: pulumi.Input[str]


@dataclass(frozen=True)
class DataVolume:
    """A volume that outlives the machine, in the machine's zone."""

    zone: str
    gigabytes: int


def put_bundle(
    label: str, launch: Launch, node: str, text: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> aws.s3.BucketObjectv2:
    """Return the object from which a node's boot agent learns what the node is to be."""
    return aws.s3.BucketObjectv2(
        label,
        bucket=launch.bundles_bucket,
        key=bundle_key(node),
        content=text,
        content_type="application/json",
        server_side_encryption="aws:kms",
        kms_key_id=launch.key_arn,
        tags={"Name": label},
        opts=opts,
    )


@dataclass(frozen=True)
class MachineArgs:
    """What a machine is made from.

    ``bundle`` is all that the node is to be, as text. ``after`` is what must be done with before this machine is
    touched: the machine before it. ``gate`` runs before whatever may disturb the machine, and stops it by raising.
    ``target_groups`` are ARNs, by any name.
    """

    node: Node
    launch: Launch
    instance_type: str
    subnet_id: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    bundle: pulumi.Input[str]
    data_volume: DataVolume | None
    target_groups: Mapping[str, pulumi.Input[str]]
    after: Sequence[pulumi.Resource]
    gate: pulumi.ResourceHook
    protect: bool


def zone_of(node: Node) -> int:
    """Return the zone of a node with a fixed address.

    Raises:
        ValueError: the node has none.
    """
    if node.zone is None:
        raise ValueError(f"{node.name} has no fixed address")
    return node.zone


class Machine(pulumi.ComponentResource):
    """Interface, data volume, bundle and instance of one node.

    A new bundle is applied by the node itself, a new type stops and starts it, a new image replaces it.
    """

    instance_id: pulumi.Output[str]
    last: list[pulumi.Resource]
    """What the next machine of the chain waits for."""

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the machine."""
        super().__init__("mlops:platform:Machine", name, None, opts)
        self._name, self._args = name, args
        self._protected = pulumi.ResourceOptions(parent=self, protect=args.protect)
        # What hangs on a machine goes before the machine does: to take it away is to disturb it. `pulumi destroy`
        # runs no program and so knows no hook, but it needs protection off anyway.
        self._hanging = pulumi.ResourceOptions(
            parent=self, hooks=pulumi.ResourceHookBinding(before_delete=[args.gate] if args.protect else None)
        )
        instance = self._instance()
        self.instance_id = instance.id
        self.last = [instance, *(self._target(instance, *group) for group in args.target_groups.items())]
        if args.data_volume is not None:
            self.last.append(self._attached(args.data_volume, instance))
        self.register_outputs({"instanceId": instance.id})

    def _interface(self) -> aws.ec2.NetworkInterface:
        label = f"{self._name}-interface"
        return aws.ec2.NetworkInterface(
            label,
            subnet_id=self._args.subnet_id,
            private_ips=[str(self._args.node.address)],
            security_groups=[self._args.security_group_id],
            tags={"Name": label},
            opts=self._protected,
        )

    def _bundle(self) -> aws.s3.BucketObjectv2:
        args = self._args
        gate = pulumi.ResourceHookBinding(before_update=[args.gate])
        opts = pulumi.ResourceOptions(parent=self, depends_on=list(args.after), hooks=gate)
        return put_bundle(f"{self._name}-bundle", args.launch, args.node.name, args.bundle, opts)

    def _instance(self) -> aws.ec2.Instance:
        label, launch, gate = f"{self._name}-instance", self._args.launch, self._args.gate
        return aws.ec2.Instance(
            label,
            ami=launch.image_id,
            instance_type=self._args.instance_type,
            iam_instance_profile=launch.instance_profile,
            primary_network_interface=aws.ec2.InstancePrimaryNetworkInterfaceArgs(
                network_interface_id=self._interface().id
            ),
            user_data=launch.user_data,
            # It only matters at the first boot: a machine that runs has nothing of a new one.
            user_data_replace_on_change=False,
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                encrypted=True,
                kms_key_id=launch.key_arn,
                volume_type="gp3",
                volume_size=ROOT_GIGABYTES,
                # Not `volume_tags`, which would also overwrite the tags of the data volume.
                tags={"Name": f"{self._name}-root"},
            ),
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # Every container of a machine uses the host's network: none is a hop away.
                http_put_response_hop_limit=1,
                instance_metadata_tags="enabled",
            ),
            maintenance_options=aws.ec2.InstanceMaintenanceOptionsArgs(auto_recovery="default"),
            tags={"Name": label, NODE_TAG: self._args.node.name},
            opts=pulumi.ResourceOptions(
                parent=self,
                # With its bundle in place when it boots; through the bundle it waits for the machine before it.
                depends_on=[self._bundle(), *self._args.after],
                # An interface cannot be on two machines.
                delete_before_replace=True,
                # Not before it is deleted: what hangs on it is gone by then, and waiting would only make it longer.
                hooks=pulumi.ResourceHookBinding(before_create=[gate], before_update=[gate]),
            ),
        )

    def _attached(self, wanted: DataVolume, instance: aws.ec2.Instance) -> aws.ec2.VolumeAttachment:
        label = f"{self._name}-data"
        volume = aws.ebs.Volume(
            label,
            availability_zone=wanted.zone,
            size=wanted.gigabytes,
            type="gp3",
            encrypted=True,
            kms_key_id=self._args.launch.key_arn,
            final_snapshot=self._args.protect,
            tags={"Name": label},
            opts=self._protected,
        )
        return aws.ec2.VolumeAttachment(
            label,
            device_name=DATA_DEVICE,
            volume_id=volume.id,
            instance_id=instance.id,
            # A file system that is in use is not pulled from under a database.
            stop_instance_before_detaching=True,
            opts=self._hanging,
        )

    def _target(
        self, instance: aws.ec2.Instance, name: str, target_group: pulumi.Input[str]
    ) -> aws.lb.TargetGroupAttachment:
        return aws.lb.TargetGroupAttachment(
            f"{self._name}-{name}", target_group_arn=target_group, target_id=instance.id, opts=self._hanging
        )
