"""`exclave webhooks`."""

import sys
from pathlib import Path

import click
from pydantic import ValidationError

from api.cli.session import collect, ims_options, open_private, run, segment, show_json, show_table
from api.client import ImsClient
from api.contract.base import Page
from api.contract.webhooks import (
    Delivery,
    Webhook,
    WebhookCreate,
    WebhookReplay,
    WebhookRotate,
    WebhookUpdate,
    WebhookWithSecret,
)


@click.group("webhooks")
def webhooks_command() -> None:
    """Send events to an address of yours, signed."""


@webhooks_command.command("create")
@click.argument("name")
@click.argument("address", metavar="URL")
@click.option(
    "--event", "events", multiple=True, help="An action, or all of an object ('deploy.*'); again for more. All if left out."
)
@click.option("--app", help="Only events of this app and its installs.")
@click.option("--install", help="Only events of this install.")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the signing secret to a file of mode 0600."
)
@ims_options
def create(
    name: str,
    address: str,
    events: tuple[str, ...],
    app: str | None,
    install: str | None,
    description: str,
    output: Path | None,
    url: str,
    as_json: bool,
) -> None:
    """Send events to URL from now on. The secret that signs them is shown only now."""
    try:
        body = WebhookCreate(
            name=name, url=address, events=list(events) or ["*"], app_id=app, install_id=install, description=description
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    file = open_private(output) if output else None  # opened first: a secret that can't be written down would be lost
    made = run(url, lambda ims: ims.call("POST", "/v1/webhooks", body=body, answer=WebhookWithSecret))
    if file:
        with file:
            file.write(made.secret + "\n")
        made = made.model_copy(update={"secret": f"(written to {output})"})
    if as_json:
        show_json(made)
        return
    click.echo(f"Webhook {made.name} ({made.id}) sends {', '.join(made.events)} to {made.url}")
    click.echo(f"Signing secret, shown only now: {made.secret}")
    click.echo(f"Try it: exclave webhooks test {made.name}")


@webhooks_command.command("list")
@ims_options
def list_webhooks(url: str, as_json: bool) -> None:
    """List the webhooks."""
    found = run(url, lambda ims: collect(ims, "/v1/webhooks", Webhook))
    if as_json:
        show_json(found)
        return
    rows = [[hook.name, hook.id, ", ".join(hook.events), hook.url, _state(hook)] for hook in found.items]
    show_table(
        ["NAME", "ID", "EVENTS", "URL", "STATE"], rows, empty="No webhooks yet. Make one with `exclave webhooks create`."
    )


@webhooks_command.command("enable")
@click.argument("webhook")
@ims_options
def enable(webhook: str, url: str, as_json: bool) -> None:
    """Switch a webhook on again; it goes on with the next event."""
    _switch(webhook, True, url, as_json)


@webhooks_command.command("disable")
@click.argument("webhook")
@ims_options
def disable(webhook: str, url: str, as_json: bool) -> None:
    """Switch a webhook off."""
    _switch(webhook, False, url, as_json)


def _switch(webhook: str, on: bool, url: str, as_json: bool) -> None:
    path = f"/v1/webhooks/{segment(webhook)}"

    async def work(ims: ImsClient) -> Webhook:
        found = await ims.call("GET", path, answer=Webhook)
        body = WebhookUpdate(**{**found.model_dump(include=set(WebhookUpdate.model_fields)), "enabled": on})
        return await ims.call("PUT", path, body=body, answer=Webhook, headers={"If-Match": f'"{found.version}"'})

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Webhook {found.name} is {_state(found)}.")


@webhooks_command.command("rotate")
@click.argument("webhook")
@click.option(
    "--overlap-hours", default=24, show_default=True, type=click.IntRange(0, 720), help="The old secret signs so long."
)
@ims_options
def rotate(webhook: str, overlap_hours: int, url: str, as_json: bool) -> None:
    """Make a new signing secret. It is shown only now."""
    body = WebhookRotate(overlap_seconds=overlap_hours * 3600)
    made = run(
        url, lambda ims: ims.call("POST", f"/v1/webhooks/{segment(webhook)}/rotate", body=body, answer=WebhookWithSecret)
    )
    if as_json:
        show_json(made)
        return
    click.echo(f"New signing secret, shown only now: {made.secret}")
    click.echo(f"The old one signs as well until {made.previous_secret_until:%Y-%m-%d %H:%M:%SZ}.")


@webhooks_command.command("delete")
@click.argument("webhook")
@ims_options
def delete(webhook: str, url: str, as_json: bool) -> None:
    """Delete a webhook, and what was on its way to it."""

    async def work(ims: ImsClient) -> Webhook:
        found = await ims.call("GET", f"/v1/webhooks/{segment(webhook)}", answer=Webhook)
        await ims.call("DELETE", f"/v1/webhooks/{found.id}")
        return found

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Webhook {found.name} is deleted.")


@webhooks_command.command("deliveries")
@click.argument("webhook")
@click.option("--status", type=click.Choice(["pending", "succeeded", "failed"]), help="Only those in this state.")
@ims_options
def deliveries(webhook: str, status: str | None, url: str, as_json: bool) -> None:
    """List the newest deliveries of a webhook."""
    params: dict[str, str | int] = {"limit": 50, "order": "desc", **({"status": status} if status else {})}
    path = f"/v1/webhooks/{segment(webhook)}/deliveries"
    found = run(url, lambda ims: ims.call("GET", path, answer=Page[Delivery], params=params))
    if as_json:
        show_json(found)
        return
    rows = [
        [one.id, str(one.seq or "-"), one.action, one.status, str(one.attempts), str(one.response_status or "-"), one.error]
        for one in found.items
    ]
    show_table(["ID", "EVENT", "ACTION", "STATUS", "ATTEMPTS", "ANSWER", "ERROR"], rows, empty="No deliveries yet.")


@webhooks_command.command("replay")
@click.argument("webhook")
@click.argument("delivery", required=False)
@click.option("--after", type=click.IntRange(0), help="Send everything after the event of this number again; 0 for all.")
@ims_options
def replay(webhook: str, delivery: str | None, after: int | None, url: str, as_json: bool) -> None:
    """Send one delivery, or all --after an event, again."""
    if (delivery is None) == (after is None):
        raise click.UsageError("give either the id of a delivery or --after")
    path = f"/v1/webhooks/{segment(webhook)}"
    if after is None:
        one = f"{path}/deliveries/{segment(delivery or '')}/replay"
        again: Delivery | Webhook = run(url, lambda ims: ims.call("POST", one, answer=Delivery))
        said = f"Delivery {delivery} is sent again."
    else:
        body = WebhookReplay(after=after)
        again = run(url, lambda ims: ims.call("POST", f"{path}/replay", body=body, answer=Webhook))
        said = f"Everything after event {after} is sent again."
    if as_json:
        show_json(again)
    else:
        click.echo(said)


@webhooks_command.command("test")
@click.argument("webhook")
@ims_options
def test(webhook: str, url: str, as_json: bool) -> None:
    """Send a test message now. Exit code 1 if the receiver didn't take it."""
    found = run(url, lambda ims: ims.call("POST", f"/v1/webhooks/{segment(webhook)}/test", answer=Delivery))
    if as_json:
        show_json(found)
    elif found.status == "succeeded":
        click.echo(f"The receiver took it: {found.response_status}.")
    else:
        click.echo(f"The receiver didn't take it: {found.error}\n{found.response_start}".rstrip())
    sys.exit(found.status != "succeeded")


def _state(hook: Webhook) -> str:
    if hook.enabled:
        return f"failing since {hook.failing_since:%Y-%m-%d %H:%M:%SZ}" if hook.failing_since else "on"
    return f"off: {hook.disabled_because}" if hook.disabled_because else "off"
