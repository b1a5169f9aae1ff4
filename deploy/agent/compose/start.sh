#!/bin/sh
# Starts the install agent with compose.yaml. Run it again after a change of agent.env or registry.json, such as a newer image.
set -eu
cd "$(dirname "$0")"

if [ -n "${CONTAINER_ENGINE:-}" ]; then
    engine=$CONTAINER_ENGINE
elif docker compose version > /dev/null 2>&1; then
    engine=docker
elif podman compose version > /dev/null 2>&1; then
    engine=podman
else
    echo "Neither 'docker compose' nor 'podman compose' works here. Install one, or name the engine in CONTAINER_ENGINE." >&2
    exit 1
fi
compose() { "$engine" compose --env-file agent.env "$@"; }
there() { compose run --rm -T --no-deps --entrypoint /usr/bin/test agent -f "/var/lib/exclave-agent/$1" < /dev/null; }

if [ -f registry.json ]; then
    compose run --rm -T --no-deps agent put registry.json < registry.json
elif ! there registry.json; then
    echo "There is no registry.json here. It says where your registry is; README.md beside this file shows how it looks." >&2
    exit 1
fi
if ! there home/identity.json; then
    if [ ! -f token ]; then
        echo "The agent hasn't enrolled yet, and there is no token here. Ask the vendor to connect this install anew." >&2
        exit 1
    fi
    compose run --rm -T --no-deps agent put token < token
fi

compose up --detach --force-recreate
echo "The agent runs. It enrols now."
tries=60
until compose exec -T agent test -f /var/lib/exclave-agent/home/identity.json < /dev/null 2> /dev/null; do
    tries=$((tries - 1))
    if [ $tries -eq 0 ]; then
        compose logs --tail 20 agent >&2
        echo "The agent hasn't enrolled within a minute; above is what it says. It goes on trying." >&2
        exit 1
    fi
    sleep 1
done
rm -f token
echo "The agent has enrolled, and the token is used up. See what it does: $engine compose --env-file agent.env logs --follow"
