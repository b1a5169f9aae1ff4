#!/bin/sh
# Makes through the API what main.tf defines: an app, a component, an install.
set -eu
cd "$(dirname "$0")"

post() {
    curl --fail-with-body -sS -o /dev/null -X POST "$EXCLAVE_URL$1" -H 'Content-Type: application/json' \
        -H "Authorization: Bearer $(cat "$EXCLAVE_TOKEN_FILE")" -d "$2"
}

# The folder's content hash, for which the docs of `exclave_terraform_module_component` say how it is made: here, of one file.
content=$(sha256sum modules/web/main.tf | cut -d' ' -f1)
digest=$(printf -- '- %s main.tf\0' "$content" | sha256sum | cut -d' ' -f1)

post /v1/apps '{"name": "wiki", "description": "Made by hand, long ago.", "inputs": [{"name": "domain", "type": "string"}]}'
post /v1/apps/wiki/components "{\"name\": \"web\", \"config\": {\"kind\": \"terraform_module\", \"variables\":
    {\"domain\": \"{{ inputs.domain }}\"}, \"source\": {\"path\": {\"path\": \"$PWD/modules/web\", \"digest\": \"sha256:$digest\"}}}}"
post /v1/installs '{"app_id": "wiki", "name": "elm", "inputs": {"domain": "wiki.elm.example"}}'
