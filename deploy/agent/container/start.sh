#!/bin/sh
# Starts the install agent in a container, with podman or docker. Run it again after a change of agent.env or registry.json,
# such as a newer image: the agent keeps what it has in the volume, and only the container is made anew.
#
# The container runs as nobody's user (10001), on a read-only file system, without capabilities, and has no port.
set -eu
cd "$(dirname "$0")"

setting() { sed -n "s/^$1=//p" agent.env; }
image=$(setting EXCLAVE_IMAGE)
name=exclave-$(setting EXCLAVE_AGENT_NAME)

engine=${CONTAINER_ENGINE:-$(command -v podman || command -v docker || true)}
if [ -z "$engine" ]; then
    echo "Neither podman nor docker is on PATH. Install one of them, or name it in CONTAINER_ENGINE." >&2
    exit 1
fi

# What each run of the image is allowed. /tmp is memory; programs are run from the volume alone.
container() {
    "$engine" run "$@"
}
set -- --read-only --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=1024 --tmpfs=/tmp:size=256m \
    --volume="$name:/var/lib/exclave-agent" --volume="$PWD/rules:/etc/exclave:ro" --env-file=agent.env

enrolled() { container --rm "$@" --entrypoint=/usr/bin/test "$image" -f /var/lib/exclave-agent/home/identity.json; }

if [ -f registry.json ]; then
    container --rm --interactive "$@" "$image" put registry.json < registry.json
elif ! container --rm "$@" --entrypoint=/usr/bin/test "$image" -f /var/lib/exclave-agent/registry.json; then
    echo "There is no registry.json here. It says where your registry is; README.md beside this file shows how it looks." >&2
    exit 1
fi
if ! enrolled "$@"; then
    if [ ! -f token ]; then
        echo "The agent hasn't enrolled yet, and there is no token here. Ask the vendor to connect this install anew." >&2
        exit 1
    fi
    container --rm --interactive "$@" "$image" put token < token
fi

"$engine" stop -t 60 "$name" > /dev/null 2>&1 || true
"$engine" rm --force "$name" > /dev/null 2>&1 || true
container --detach --init --restart=unless-stopped --name="$name" "$@" "$image" > /dev/null

echo "The agent runs as the container $name. It enrols now."
tries=60
until "$engine" exec "$name" test -f /var/lib/exclave-agent/home/identity.json 2> /dev/null; do
    tries=$((tries - 1))
    if [ $tries -eq 0 ]; then
        "$engine" logs --tail=20 "$name" >&2
        echo "The agent hasn't enrolled within a minute; above is what it says. It goes on trying." >&2
        exit 1
    fi
    sleep 1
done
rm -f token
echo "The agent has enrolled, and the token is used up. See what it does: $(basename "$engine") logs --follow $name"
