#!/bin/sh
# Installs the chart, or upgrades it: in a namespace of its own, with a Secret of token and registry.json that Helm never sees.
# Run it again after a change of values.yaml or registry.json, such as a newer image. It takes kubectl's current context.
set -eu
cd "$(dirname "$0")"

namespace=$(sed -n 's/^# namespace: //p' values.yaml)

kubectl create namespace "$namespace" --dry-run=client --output=yaml | kubectl apply --filename=-
kubectl label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted
if [ -f registry.json ]; then
    set -- --from-file=registry.json
    if [ -f token ]; then set -- "$@" --from-file=token; fi
    kubectl --namespace="$namespace" create secret generic exclave-agent "$@" --dry-run=client --output=yaml |
        kubectl --namespace="$namespace" apply --filename=-
elif ! kubectl --namespace="$namespace" get secret exclave-agent > /dev/null; then
    echo "There is no registry.json here. It says where your registry is; README.md beside this file shows how it looks." >&2
    exit 1
fi
helm upgrade --install exclave-agent ./chart --namespace="$namespace" --values=values.yaml

tries=120
until kubectl --namespace="$namespace" exec deployment/exclave-agent -- \
    test -f /var/lib/exclave-agent/home/identity.json 2> /dev/null; do
    tries=$((tries - 1))
    if [ $tries -eq 0 ]; then
        kubectl --namespace="$namespace" get pods >&2
        kubectl --namespace="$namespace" logs deployment/exclave-agent --tail=20 >&2
        echo "The agent hasn't enrolled within two minutes; above is what it says. It goes on trying." >&2
        exit 1
    fi
    sleep 1
done
rm -f token
echo "The agent has enrolled, and the token is used up. See what it does: kubectl --namespace=$namespace logs deployment/exclave-agent"
