"""What others can refer to: where the component can be reached."""

from collections.abc import Iterable

from agent.install.workspace import StoredOutput, StoredOutputs
from agent.kubernetes.objects import Obj, Ref, status


def outputs_of(namespace: str, objects: Iterable[Obj]) -> StoredOutputs:
    """`namespace`; `hosts`, those of the Ingresses, sorted; `addresses`, by `Service/NAME` or `Ingress/NAME`.

    An address is the load balancer's where there is one, else a Service's name in the cluster.
    """
    addresses: dict[str, str] = {}
    hosts: set[str] = set()
    for obj in objects:
        ref, spec = Ref.of(obj), obj.get("spec") or {}
        if ref.kind not in ("Service", "Ingress"):
            continue
        given = ((status(obj).get("loadBalancer") or {}).get("ingress") or [{}])[0]
        address = given.get("hostname") or given.get("ip")
        if ref.kind == "Service":
            address = address or spec.get("externalName") or f"{ref.name}.{ref.namespace}.svc"
        else:
            hosts |= {rule["host"] for rule in spec.get("rules") or [] if rule.get("host")}
        if address:
            addresses[f"{ref.kind}/{ref.name}"] = address
    found = {"addresses": addresses, "hosts": sorted(hosts), "namespace": namespace}
    return StoredOutputs(outputs={name: StoredOutput(value=value, sensitive=False) for name, value in found.items()})
