"""The commands of a bad day, and of the days after: they speak to AWS, or to what stands in for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from cli.cloud import StackName
from configs.tables.flows import HTTPS, Role
from configs.tables.names import Service
from configs.tables.schedulers import SCHEDULERS
from engine.stack_files import ROOT, stack_settings
from ops import procedure
from ops.dns import DNS_PORT, NameServer, Resolvers
from ops.entrance import secret_document, secret_value
from ops.failback import Failback
from ops.failover import MAXIMUM_LOSS, Decision, Failover
from ops.jobs import job_files
from ops.jobs import register as register_jobs
from ops.problems import Stop
from ops.sites import PRIMARY_STACK, STANDBY_STACK, Reach, Site
from ops.snapshots import latest
from ops.snapshots import restore as restore_snapshot
from ops.status import render
from ops.status import status as ask_status
from ops.verify import DEADLINE
from ops.verify import verify as verify_site
from ops.wording import moment

Resolver = Annotated[
    list[str] | None,
    typer.Option(
        "--resolver",
        envvar="MLOPS_HA_RESOLVER",
        help="Resolver to ask, as ADDRESS or ADDRESS:PORT; may be repeated. Those of this machine when left out.",
    ),
]
HttpsPort = Annotated[
    int,
    typer.Option(
        envvar="MLOPS_HA_HTTPS_PORT",
        hidden=True,
        help="Port of the load balancers, where one machine stands in for both regions.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and what is known; change nothing.")]

_output = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def failover(
        dry_run: DryRun = False,
        force: Annotated[
            bool, typer.Option("--force", help="Go on although the primary answers, or something is unknown.")
        ] = False,
        reason: Annotated[str | None, typer.Option(help="Why it is forced; goes into the record.")] = None,
        maximum_loss: Annotated[
            int, typer.Option(min=0, help="Minutes of the database's last transactions that may be lost.")
        ] = MAXIMUM_LOSS // timedelta(minutes=1),
        resolver: Resolver = None,
        https_port: HttpsPort = HTTPS.port,
    ) -> None:
        """Switch to the standby region. Stops when the primary answers; may be killed and started again anywhere."""
        if force and not (reason or "").strip():
            raise typer.BadParameter("a forced failover needs --reason: whoever reads the record will ask")
        decision = Decision(force, reason, timedelta(minutes=maximum_loss))
        steps = Failover(Site.of(STANDBY_STACK, _reach(resolver, https_port)), decision).steps()
        procedure.run(steps, _output, dry=dry_run)

    @app.command()
    def failback(dry_run: DryRun = False, resolver: Resolver = None, https_port: HttpsPort = HTTPS.port) -> None:
        """Go home to the primary region, planned and without loss. May be killed and started again anywhere."""
        reach = _reach(resolver, https_port)
        steps = Failback(Site.of(PRIMARY_STACK, reach), Site.of(STANDBY_STACK, reach)).steps()
        procedure.run(steps, _output, dry=dry_run)

    @app.command()
    def verify(
        stack: Annotated[StackName, typer.Option(help="The stack.")],
        minutes: Annotated[int, typer.Option(min=0, help="How long to wait for what is lacking.")] = DEADLINE
        // timedelta(minutes=1),
        resolver: Resolver = None,
        https_port: HttpsPort = HTTPS.port,
    ) -> None:
        """Wait until a region has quorum, TLS, targets, workers and database; after each `pulumi up`."""
        reach = _reach(resolver, https_port)
        site = Site.of(stack, reach)
        fenced = site.settings.is_primary and Site.of(STANDBY_STACK, reach).switch.written()
        with _output.status(f"{stack}: asking") as status:
            checked = verify_site(site, status.update, timedelta(minutes=minutes), fenced=fenced)
        _output.print(f"{stack}: {checked}: as they should be" + (" (fenced by the switch)" if fenced else ""))

    @app.command()
    def status(resolver: Resolver = None) -> None:
        """Show both regions, the switch, what is replicated, and what DNS answers; what is unknown is called so."""
        primary, standby = (stack_settings(ROOT, stack) for stack in (PRIMARY_STACK, STANDBY_STACK))
        _output.print(render(ask_status(primary, standby, _resolvers(resolver), datetime.now(UTC))))

    @app.command()
    def restore(
        service: Annotated[Service, typer.Argument(help="consul or nomad.")],
        confirmed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        resolver: Resolver = None,
        https_port: HttpsPort = HTTPS.port,
    ) -> None:
        """Put the primary region's last snapshot into the standby's Consul or Nomad. It replaces everything."""
        if service is not Service.CONSUL and service is not Service.NOMAD:
            raise typer.BadParameter("only consul and nomad have snapshots")
        site = Site.of(STANDBY_STACK, _reach(resolver, https_port))
        of_region = site.settings.regions.primary.name
        found = latest(site.region, site.names, of_region, service)
        if found is None:
            raise Stop(f"there is no snapshot of {service} of {of_region}")
        if not confirmed:
            known = f"what {of_region} knew at {moment(found.taken)}"
            typer.confirm(f"Replace all that {service} in {site.region.name} knows by {known}?", abort=True)
        document = secret_document(site.region, site.names, Role.CONTROL_PLANE)
        token = secret_value(document, SCHEDULERS[service].token.name)
        entrance = site.entrance()
        restore_snapshot(site.region, site.names, found, entrance, token)
        _output.print(f"{service}: restored from {found.key}, taken {moment(found.taken)}")
        if service is Service.NOMAD:
            # The snapshot may be older than what has been registered since.
            for job in register_jobs(entrance, token, job_files(site.settings, site.names)):
                _output.print(f"job {job.name}: {job.outcome}")

    _ = (failover, failback, verify, status, restore)


def _reach(resolvers: list[str] | None, https_port: int) -> Reach:
    return Reach(_resolvers(resolvers), https_port)


def _resolvers(given: list[str] | None) -> Resolvers:
    return Resolvers([_name_server(text) for text in given] if given else None)


def _name_server(text: str) -> NameServer:
    address, _, port = text.partition(":")
    try:
        return NameServer(address, int(port or DNS_PORT))
    except ValueError:
        raise typer.BadParameter(f"--resolver {text}: it must be ADDRESS or ADDRESS:PORT") from None
