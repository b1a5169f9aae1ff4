"""The quickstart in Python: `python main.py` writes it as JSON for Terraform, which plans to the same as ../quickstart does.

It runs on cdktf as well: change the first import.
"""

from cdktn import (
    App,
    LocalBackend,
    TerraformIterator,
    TerraformOutput,
    TerraformStack,
    TerraformVariable,
    TerraformVariableValidationConfig,
    Token,
)
from constructs import Construct

from exclave_cdktn import (
    ExclaveApp,
    ExclaveDeployment,
    ExclaveInstall,
    ExclaveProvider,
    ExclaveRelease,
    ExclaveTerraformModuleComponent,
)


class Quickstart(TerraformStack):
    """One app of two Terraform modules, a release of it, and an install for each customer."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        LocalBackend(self, path="terraform.tfstate")  # beside the stack's own file
        # The address and the token come from EXCLAVE_URL and EXCLAVE_TOKEN_FILE.
        ExclaveProvider(self, "exclave")

        customers = TerraformVariable(
            self,
            "customers",
            type="map(string)",
            default={"acme": "acme.example"},
            description="The customers who run the shop: the name of the install, and the domain that it answers to.",
        )
        password = TerraformVariable(
            self,
            "admin_password",
            type="string",
            sensitive=True,
            description="The password of the shop's first administrator, the same for each customer here.",
            validation=[
                TerraformVariableValidationConfig(
                    condition="${length(var.admin_password) >= 8}", error_message="The password needs at least 8 characters."
                )
            ],
        )
        modules = TerraformVariable(
            self,
            "modules",
            type="string",
            default="../../../../quickstart/modules",
            description="The folder of the modules, from the folder of the stack.",
        )

        # The product: an app with two inputs, which each customer answers in their own way.
        shop = ExclaveApp(
            self,
            "shop",
            name="shop",
            description="A web shop: a network, and a service in it.",
            inputs={
                "domain": {"type": "string", "description": "The domain that the shop answers to."},
                "admin_password": {
                    "type": "string",
                    "sensitive": True,
                    "description": "The first administrator's password.",
                },
            },
        )

        # Its parts. Each one is an ordinary Terraform module.
        network = ExclaveTerraformModuleComponent(
            self,
            "network",
            app_id=shop.id,
            name="network",
            path={"path": f"{modules.string_value}/network"},
            variables={"name": "{{ install.name }}"},
        )
        service = ExclaveTerraformModuleComponent(
            self,
            "service",
            app_id=shop.id,
            name="service",
            path={"path": f"{modules.string_value}/service"},
            variables={
                "network_id": "{{ components.network.outputs.network_id }}",  # so the service is made after the network
                "domain": "{{ inputs.domain }}",
                "admin_password": "{{ inputs.admin_password }}",
            },
        )

        # A numbered, immutable set of builds: one for each component, at the version named.
        release = ExclaveRelease(
            self,
            "current",
            app_id=shop.id,
            components={"network": network.version, "service": service.version},
        )

        # One install for each customer, and the release brought to it.
        each_customer = TerraformIterator.from_map(Token.as_any_map(customers.value))
        installs = ExclaveInstall(
            self,
            "customer",
            for_each=each_customer,
            app_id=shop.id,
            name=each_customer.key,
            inputs={"domain": Token.as_string(each_customer.value)},
            sensitive_inputs={"admin_password": password.string_value},
        )
        each_install = TerraformIterator.from_resources(installs)
        deployments = ExclaveDeployment(
            self,
            "deployment",
            for_each=each_install,
            install_id=each_install.get_string("id"),
            release_id=release.id,
            inputs_version=each_install.get_number("inputs_version"),
        )
        deployments.override_logical_id("customer")  # its address, exclave_deployment.customer, as in the HCL

        TerraformOutput(self, "release", value=release.number, description="The release that the customers run.")
        TerraformOutput(
            self,
            "deployments",
            value="${{ for name, deployment in exclave_deployment.customer : name => deployment.outputs }}",
            description="What each customer's install gives out. Sensitive outputs stay in the customer's account.",
        )


if __name__ == "__main__":
    app = App()
    Quickstart(app, "quickstart")
    app.synth()
