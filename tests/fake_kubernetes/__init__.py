"""A Kubernetes API server for tests, where no cluster can run: real HTTPS, spoken to by real `kubectl` and `helm`.

It is written from Kubernetes' published documentation: "API concepts", "Server-Side Apply", "Garbage collection",
"Finalizers", "Authorization" and the API reference on https://kubernetes.io/docs. It plays what these pages say of the API
server and of the controllers of workloads; it has no scheduler, no kubelet and no admission plugins, converts no versions,
and knows of schemas only what merges need (`kinds.py`) and a few rules of validation (`rules.py`).
"""
