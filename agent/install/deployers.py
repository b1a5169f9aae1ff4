"""Who deploys which kind. A deployer is loaded by the first job of its kind: an idle agent is some megabytes smaller for it."""

from functools import cache

from agent.install.deployer import Deployer
from api.contract.components import ComponentKind


@cache
def deployer_of(kind: ComponentKind) -> Deployer | None:
    """The deployer of a kind, or None if this agent has none."""
    match kind:
        case "container_image" | "docker_build":
            from agent.install.container_image.deployer import ImageDeployer

            return ImageDeployer()
        case "custom":
            from agent.install.custom.deployer import CustomDeployer

            return CustomDeployer()
        case "helm_chart":
            from agent.install.helm_chart.deployer import HelmDeployer

            return HelmDeployer()
        case "kubernetes_manifest":
            from agent.install.kubernetes_manifest.deployer import ManifestDeployer

            return ManifestDeployer()
        case "terraform_module":
            from agent.install.terraform_module.deployer import TerraformDeployer

            return TerraformDeployer()
    return None
