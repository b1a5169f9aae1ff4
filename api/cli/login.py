"""`exclave login`, `exclave logout` and `exclave whoami`."""

import asyncio

import click

from api.cli.session import ims_options, run, show_json
from api.cli.stored_logins import drop_login, store_login, stored_login
from api.client import ApiError, ImsClient
from api.contract.access import DeviceLogin, DeviceLoginDone, DeviceLoginPoll, Whoami


@click.command("login")
@ims_options
def login_command(url: str, as_json: bool) -> None:
    """Log in with your browser; it may run on another machine."""

    async def work(ims: ImsClient) -> DeviceLoginDone:
        begun = await ims.call("POST", "/v1/login/device", answer=DeviceLogin)
        click.echo(f"Open {begun.verification_uri_complete}\nand confirm the code {begun.user_code}", err=True)
        while True:
            await asyncio.sleep(begun.interval)
            try:
                body = DeviceLoginPoll(device_code=begun.device_code)
                return await ims.call("POST", "/v1/login/device/token", body=body, answer=DeviceLoginDone)
            except ApiError as error:
                if error.code not in ("authorization_pending", "rate_limited"):
                    raise

    done = run(url, work, token=lambda _: None)
    try:
        file = store_login(url, done.access_token)
    except OSError as error:
        raise click.ClickException(f"the login can't be stored: {error.strerror}.") from None
    if as_json:
        show_json(done.whoami)
    else:
        click.echo(f"You are {_words(done.whoami)}. The login is in {file}.")


@click.command("logout")
@ims_options
def logout_command(url: str, as_json: bool) -> None:
    """End the login of this IMS, there and here."""
    if stored_login(url):
        try:
            run(url, lambda ims: ims.call("DELETE", "/v1/session"), token=stored_login)
        finally:
            drop_login(url)
    click.echo("{}" if as_json else f"You are logged out of {url}.")


@click.command("whoami")
@ims_options
def whoami_command(url: str, as_json: bool) -> None:
    """Say who you are to the IMS, and what you may do."""
    found = run(url, lambda ims: ims.call("GET", "/v1/whoami", answer=Whoami))
    if as_json:
        show_json(found)
    else:
        click.echo(f"You are {_words(found)}.")


def _words(who: Whoami) -> str:
    where = f" in {who.scope.partition(':')[0]} {who.scope_name}" if who.scope_name else ""
    until = f", until {who.expires_at:%Y-%m-%d %H:%M:%SZ}" if who.expires_at else ""
    return f"{who.name} with the role {who.role}{where}{until}"
