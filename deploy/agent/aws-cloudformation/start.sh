#!/bin/sh
# Makes the stack of template.yaml, or upgrades it, with the AWS CLI and its credentials. The token goes into a secret of Secrets Manager
# first, from its file: it is on no process list, in no parameter and not in the stack. Run it again after a change of parameters.json,
# such as a newer image.
set -eu
cd "$(dirname "$0")"

parameter() { sed -n "s/^ *\"$1=\(.*\)\",\{0,1\}$/\1/p" parameters.json; }
name=$(parameter Name)
for asked in VpcId SubnetId; do
    if [ -z "$(parameter $asked)" ]; then
        echo "parameters.json says no $asked yet: put it behind \"$asked=\". README.md beside this file says what it is." >&2
        exit 1
    fi
done

secret=exclave-$name-token
find_secret() { aws secretsmanager describe-secret --secret-id "$secret" --query ARN --output text 2> /dev/null; }
if [ -f token ]; then
    if find_secret > /dev/null; then
        aws secretsmanager put-secret-value --secret-id "$secret" --secret-string file://token > /dev/null
    else
        aws secretsmanager create-secret --name "$secret" --secret-string file://token > /dev/null
    fi
fi
if ! arn=$(find_secret); then
    echo "There is no token here, and no secret $secret. Ask the vendor to connect this install anew." >&2
    exit 1
fi

# The parameters come from the file, and the secret's ARN, which is none, from here.
sed "1s|.*|[\"TokenSecretArn=$arn\",|" parameters.json > parameters.now.json
aws cloudformation deploy --stack-name "exclave-$name" --template-file template.yaml --capabilities CAPABILITY_NAMED_IAM \
    --no-fail-on-empty-changeset --parameter-overrides file://parameters.now.json
rm -f token parameters.now.json
echo "The agent starts; it needs some minutes. See what it does: aws logs tail /exclave/$name --follow"
