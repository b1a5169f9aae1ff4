"""Exclave's Terraform provider for CDK Terrain (`cdktn`) and CDK for Terraform (`cdktf`), typed.

    from cdktn import App, TerraformStack
    from exclave_cdktn import ExclaveApp, ExclaveProvider

Needs the extra `exclave[cdktn]`, and Node.js when a program runs. docs/how-to/define-apps-in-python.md shows a whole app.
"""

from exclave_cdktn import library  # noqa: F401 - first, because it says what is missing
from exclave_cdktn.bindings import *  # noqa: F403 - all of `bindings.__all__`
