"""How a component is, as its agent has found it, and since when."""

from api.contract.component_health import ComponentHealth
from api.db.transaction import Write
from api.deploys.models import DeployRow
from api.installs.models import InstalledComponentRow


def note(tx: Write, deploy: DeployRow, component: str, found: ComponentHealth | None) -> None:
    """Keep what an apply or a plan has found of one component. What a drift run saw before a deploy changed it is too old."""
    installed = tx.get(InstalledComponentRow, (deploy.install_id, component))
    if installed is None or (deploy.kind == "drift" and installed.updated_at > deploy.created_at):
        return
    before = installed.health.status if installed.health else None
    after = found.status if found else None
    installed.health, installed.health_checked_at = found, tx.now if found else None
    if before == after:
        return
    installed.health_since = tx.now if found else None
    if found or before:
        tx.emit(
            "health.changed",
            deploy.install_id,
            before={"component": component, "status": before},
            after={"component": component, "status": after, "reason": found.reason if found else "", "deploy": deploy.id},
            app_id=deploy.app_id,
            install_id=deploy.install_id,
        )
