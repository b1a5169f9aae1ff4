from pathlib import Path

import pytest

from agent.policy.policy import PolicySource
from agent.policy.read import PolicyFileError, read_policy

EVERYTHING = """\
version: 1
mode: read_only
kinds: [terraform_module, helm_chart]
components: ["net*", web]
rules:
  - use: no-iam-changes
    message: Ask security@example.com first.
  - name: yes for destroys
    effect: ask
    operations: [destroy]
  - name: no public buckets
    types: [aws_s3_bucket_acl]
    where:
      - attribute: acl
        like: public-*
windows:
  - days: [sat, sun]
    from: 22:00
    to: 04:00
    time_zone: Europe/Berlin
redact:
  - 'AKIA[0-9A-Z]{16}'
environment:
  plan: { AWS_PROFILE: reader }
  apply: { AWS_PROFILE: writer }
"""


def refusal_of(text: str) -> str:
    with pytest.raises(PolicyFileError) as caught:
        read_policy("policy.yaml", text)
    assert caught.value.failure.code == "policy_invalid"
    assert "exclave agent policy check" in caught.value.failure.remedy
    return str(caught.value)


def test_a_policy_says_everything() -> None:
    policy = read_policy("policy.yaml", EVERYTHING)
    assert policy.mode == "read_only"
    assert [rule.name or rule.use for rule in policy.rules] == ["no-iam-changes", "yes for destroys", "no public buckets"]
    assert (policy.windows[0].begins, policy.windows[0].ends) == ("22:00", "04:00")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nkind: [helm_chart]\n", "policy.yaml:2: kind: there is no such field"),
        ("version: 1\nkinds:\n  - helm_chart\n  - helm\n", "policy.yaml:4: kinds[1]: Input should be 'terraform_module'"),
        ("mode: normal\n", "policy.yaml:1: version: it is missing"),
        ("version: 1\nmode: on\n", "policy.yaml:2: mode: Input should be 'normal' or 'read_only'"),
        ("version: 1\nrules:\n  - use: no-fun\n", "policy.yaml:3: there is no ready-made rule 'no-fun'; there are: no-"),
        ("version: 1\nrules:\n  - types: [x]\n", "policy.yaml:3: rules[0]: a rule needs a name"),
        (
            "version: 1\nrules:\n  - use: no-egress\n    types: [x]\n",
            "policy.yaml:3: rules[0]: a rule with `use` has its own types",
        ),
        ("version: 1\nredact: ['(']\n", "policy.yaml:2: redact[0]: it is no regular expression"),
        (
            "version: 1\nwindows:\n  - from: 9:00\n    to: 10:00\n    time_zone: Europe/Berlin\n",
            "policy.yaml:3: windows[0].from: write a time such as 22:00, from 00:00 to 24:00",
        ),
        ("version: 1\nwindows: []\n", "policy.yaml:2: windows: name at least one, or leave the field out"),
        ("version: 1\nrevoked: [abc]\n", "policy.yaml:2: revoked[0]: write sha256: and 64 hex digits"),
        ("version: 1\nrules:\n  - name: a\n    types: aws_*\n", "policy.yaml:4: rules[0].types: write a list, such as [a, b]"),
        ("version: 1\nredact: ['']\n", "policy.yaml:2: redact[0]: it is empty"),
        ("version: 1\nenvironment: {plan: {A: 1}}\n", "environment.plan.A: write a text; a number needs quotes to be one"),
        (
            "version: 1\nwindows:\n  - from: 09:00\n    to: 10:00\n    time_zone: Mars/Phobos\n",
            "policy.yaml:5: windows[0].time_zone: 'Mars/Phobos' is no time zone",
        ),
        ("version: 1\nmode: normal\nmode: read_only\n", "policy.yaml:3: mode: stands there twice"),
        ("version: 1\nkinds: &a []\ncomponents: *a\n", "policy.yaml:3 has an alias"),
        ("version: 1\nrules: [\n", "policy.yaml:3 isn't YAML"),
        ("", "policy.yaml has 0 documents"),
        ("- version\n", "policy.yaml:1 is no mapping"),
        ("version: 1\nrules:\n  - name: a\n    where: [{attribute: x}]\n", "give exactly one of"),
        ("version: 1\nrules:\n  - name: a\n  - name: a\n", "two rules have the name 'a'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_field(text: str, said: str) -> None:
    assert said in refusal_of(text)


def test_a_list_of_which_nothing_is_right_is_not_called_empty() -> None:
    text = "version: 1\nwindows:\n  - {days: [funday], from: 09:00, to: 10:00, time_zone: UTC}\n"
    (said,) = refusal_of(text).splitlines()
    assert "windows[0].days[0]: Input should be 'mon'" in said


def test_every_mistake_is_said_at_once() -> None:
    assert len(refusal_of("version: 1\nkind: x\nmodes: y\n").splitlines()) == 2


def test_words_that_yaml_once_took_for_booleans_are_texts() -> None:
    assert read_policy("policy.yaml", "version: 1\nrules: [{name: no}]\n").rules[0].name == "no"


def test_without_a_file_everything_is_allowed(tmp_path: Path) -> None:
    policy = PolicySource(tmp_path).load()
    assert policy.digest is None
    assert policy.document.kinds is None


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="isn't there"):
        PolicySource(tmp_path, tmp_path / "rules.yaml").load()


def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    source = PolicySource(tmp_path)
    (tmp_path / "policy.yaml").write_text("version: 1\nmode: read_only\n")
    first = source.load()
    (tmp_path / "policy.yaml").write_text("version: 1\n")
    second = source.load()
    assert (first.document.mode, second.document.mode) == ("read_only", "normal")
    assert first.digest != second.digest
