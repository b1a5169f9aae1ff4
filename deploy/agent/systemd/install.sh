#!/bin/sh
# Installs the install agent as the service exclave-agent of systemd, or upgrades it. Run it as root, in this folder.
#
# What it makes: /opt/exclave-agent-VERSION (Python packages) and the link /opt/exclave-agent to it; /etc/exclave-agent (settings,
# for root alone); the unit /etc/systemd/system/exclave-agent.service. The service keeps its state in /var/lib/exclave-agent.
# Run it again after a change of agent.env or registry.json, such as another EXCLAVE_PACKAGE.
set -eu
cd "$(dirname "$0")"

root=${EXCLAVE_ROOT:-} # another folder than /, for images and tests
settings=$root/etc/exclave-agent

fail() { echo "$1" >&2; exit 1; }
setting() { sed -n "s/^$1=//p" agent.env; }

[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "Run this as root: sudo sh install.sh"
[ "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -ge 250 ] || fail "systemd 250 or newer is needed."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed; name it in PYTHON."
[ -f registry.json ] || [ -f "$settings/registry.json" ] ||
    fail "There is no registry.json here. It says where your registry is; README.md beside this file shows how it looks."
[ -f token ] || [ -f "$settings/token" ] || fail "There is no token here. Ask the vendor to connect this install anew."

# A folder for each package that was installed, so that a failed upgrade leaves the agent that runs alone.
package=$(setting EXCLAVE_PACKAGE)
programs=/opt/exclave-agent-$(printf %s "$package" | cksum | cut -d' ' -f1)
if [ ! -x "$root$programs/bin/exclave" ]; then
    rm -rf "$root$programs"
    "$python" -m venv "$root$programs"
    "$root$programs/bin/python" -m pip install --quiet "$package" || fail "EXCLAVE_PACKAGE=$package in agent.env can't be installed."
fi

mkdir -p "$settings" "$root/etc/systemd/system"
chmod 0700 "$settings"
umask 077
for file in agent.env registry.json token; do
    if [ -f "$file" ]; then
        cat "$file" > "$settings/$file.new"
        mv "$settings/$file.new" "$settings/$file"
    fi
done
install -d -m 0755 "$settings/rules"
: > "$settings/rules.env.new"
for pair in policy.yaml:EXCLAVE_POLICY ca.pem:EXCLAVE_CA_FILE; do
    file=${pair%%:*}
    if [ -f "rules/$file" ]; then
        install -m 0644 "rules/$file" "$settings/rules/$file"
        echo "${pair#*:}=/run/exclave-agent-rules/$file" >> "$settings/rules.env.new"
    else
        rm -f "$settings/rules/$file"
    fi
done
mv "$settings/rules.env.new" "$settings/rules.env"
cp exclave-agent.service "$root/etc/systemd/system/exclave-agent.service"
chmod 0644 "$root/etc/systemd/system/exclave-agent.service"
ln -sfn "$programs" "$root/opt/exclave-agent"

systemctl daemon-reload
systemctl enable --quiet exclave-agent
systemctl restart exclave-agent
rm -f token
echo "The agent runs as the service exclave-agent. See what it does: journalctl --follow --unit exclave-agent"
