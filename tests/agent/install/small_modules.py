"""Small Terraform modules for real engines, and what tests wait for when these run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.failure import JobFailedError
from api.contract.agents import JobResult
from api.contract.base import Failure

NETWORK = """
variable "cidr" { type = string }
resource "terraform_data" "net" { input = var.cidr }
output "id" { value = "net-${terraform_data.net.output}" }
"""
SERVICE = """
variable "network" { type = string }
variable "ports" {
  type    = list(number)
  default = []
}
variable "password" {
  type      = string
  sensitive = true
  default   = "none"
}
resource "terraform_data" "service" {
  input = { network = var.network, ports = var.ports, password = var.password }
}
output "url" { value = "https://${terraform_data.service.output.network}/${join(",", var.ports)}" }
output "token" {
  value     = "token-${var.password}"
  sensitive = true
}
"""
SLOW = """
variable "marker" { type = string }
resource "terraform_data" "first" { input = "kept" }
resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "echo $$ > ${var.marker}; exec sleep 300" }
}
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(240):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


async def failure_of(work: Awaitable[JobResult]) -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await work
    return caught.value.failure
