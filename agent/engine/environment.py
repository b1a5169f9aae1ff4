"""What an engine sees of the agent's environment, and the CLI configuration that keeps it inside its bundle."""

import json
from collections.abc import Mapping
from pathlib import Path

_PASSED = {
    # where programs, home and temporary files are, and in what language messages come
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ",
    # how the cloud's API is reached
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
    # credentials of the customer's account
    "KUBECONFIG",
}  # fmt: skip
_PASSED_PREFIXES = ("AWS_", "GOOGLE_", "CLOUDSDK_", "ARM_", "AZURE_", "KUBE_")


def engine_environment(env: Mapping[str, str], cli_config: Path) -> dict[str, str]:
    """The environment of an engine: an allow-list of `env` and nothing else.

    Paths, proxies and the credentials of the customer's cloud pass. No `TF_*` does: a variable, a plugin folder or a log
    setting of the agent's own shell must not change what a customer's deploy does.
    """
    return {
        **passed_on(env),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_CLI_CONFIG_FILE": str(cli_config),
        "TF_DATA_DIR": ".terraform",
        "CHECKPOINT_DISABLE": "1",
    }


def passed_on(env: Mapping[str, str]) -> dict[str, str]:
    """The part of the agent's environment that every program of a deploy sees."""
    return {name: value for name, value in env.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}


def cli_config(mirror: Path) -> str:
    """A CLI configuration that installs providers from the folder `mirror` alone (`closure`)."""
    path = json.dumps(str(mirror)).replace("${", "$${").replace("%{", "%%{")
    return f"""\
disable_checkpoint = true
provider_installation {{
  filesystem_mirror {{
    path = {path}
  }}
}}
"""
