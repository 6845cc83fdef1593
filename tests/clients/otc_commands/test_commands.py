"""`openstack vpcep ...` as it is typed, and the tokens of `openstack token`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import openrc
from polling import until

OPENSTACK = Path(sys.executable).with_name("openstack")


def run(account, *words, way=openrc.password):
    """Types the words; returns exit code, output and errors."""
    environment = os.environ | way(account)
    return subprocess.run(
        [OPENSTACK, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def typed(account, *words, way=openrc.password):
    """Types a command that must succeed, and returns the JSON it prints."""
    ran = run(account, *words, "-f", "json", way=way)
    assert ran.returncode == 0, f"openstack {' '.join(words)}: {ran.stderr}"
    return json.loads(ran.stdout)


def done(account, *words, way=openrc.password):
    """Types a command that must succeed and prints nothing."""
    ran = run(account, *words, way=way)
    assert ran.returncode == 0, f"openstack {' '.join(words)}: {ran.stderr}"
    assert ran.stdout == ""


@pytest.mark.parametrize("way", openrc.WAYS, ids=lambda way: way.__name__)
def test_every_way_of_logging_in(provider, way):
    quotas = typed(provider, "vpcep", "quota", "list", way=way)
    assert {row["Type"] for row in quotas} == {"endpoint", "endpoint_service"}


def test_wrong_password(provider):
    wrong = lambda account: openrc.password(account) | {"OS_PASSWORD": "wrong"}  # noqa: E731
    ran = run(provider, "vpcep", "quota", "list", way=wrong)
    assert ran.returncode != 0 and "401" in ran.stderr, ran.stderr


def test_token(provider):
    """Issued, used, and revoked for good."""
    issued = typed(provider, "token", "issue")
    assert issued["project_id"] == provider.project_id

    def with_it(account):
        return openrc.token_alone(account) | {"OS_TOKEN": issued["id"]}

    typed(provider, "vpcep", "quota", "list", "--type", "endpoint", way=with_it)
    done(provider, "token", "revoke", issued["id"])
    ran = run(provider, "vpcep", "quota", "list", way=with_it)
    assert ran.returncode != 0 and "EndPoint.0003" in ran.stderr, ran.stderr


def test_story(provider, consumer):
    """Every command: offered, whitelisted, connected, accepted, taken down."""
    servers, clients = provider.network("10.0.0.0/24"), consumer.network("10.0.0.0/24")

    words = ["--port-id", servers.backend("10.0.0.10", "LB"), "--router-id", servers.vpc_id]
    words += ["--server-type", "LB", "--service-type", "interface", "--tags", "key=env,value=test"]
    words += ["--ports", "client_port=80,server_port=8080,protocol=TCP"]
    service = typed(provider, "vpcep", "service", "create", "web", *words)
    full_name, service_id = service["service_name"], service["id"]

    def status():
        return typed(provider, "vpcep", "service", "show", service_id)["status"]

    until(status, lambda seen: seen == "available")
    assert typed(provider, "vpcep", "service", "show", full_name)["id"] == service_id
    (row,) = typed(provider, "vpcep", "service", "list", "--name", "WEB", "--limit", "5")
    assert (row["Id"], row["Connection Count"], row["Status"]) == (service_id, 0, "available")

    whitelist = ["vpcep", "service", "whitelist"]
    added = typed(provider, *whitelist, "set", service_id, consumer.domain_id, "--add")
    assert added == [{"Permission": f"iam:domain::{consumer.domain_id}"}]
    (row,) = typed(provider, *whitelist, "list", full_name, "--sort-key", "created_at")
    assert row["Permission"] == f"iam:domain::{consumer.domain_id}"

    words = ["--service-id", service_id, "--router-id", clients.vpc_id]
    words += ["--network-id", clients.subnet_id, "--port-ip", "10.0.0.100"]
    words += ["--whitelist", "10.0.0.0/25", "10.0.0.182", "--enable-whitelist"]
    words += ["--tags", "key=env,value=test", "--description", "from the shop floor"]
    endpoint = typed(consumer, "vpcep", "endpoint", "create", *words)
    endpoint_id = endpoint["id"]
    assert endpoint["status"] == "pendingAcceptance"

    connection = ["vpcep", "service", "connection"]
    (row,) = typed(provider, *connection, "list", service_id, "--sort-dir", "asc")
    assert (row["Id"], row["Domain Id"]) == (endpoint_id, consumer.domain_id)
    typed(provider, *connection, "set", service_id, endpoint_id, "--accept")

    def shown():
        return typed(consumer, "vpcep", "endpoint", "show", endpoint_id)

    seen = until(shown, lambda seen: seen["status"] == "accepted")
    assert seen["ip"] == "10.0.0.100"
    (row,) = typed(consumer, "vpcep", "endpoint", "list", "--service-name", full_name)
    assert row["Id"] == endpoint_id

    refused = run(provider, "vpcep", "service", "delete", service_id)
    assert refused.returncode != 0 and "EndPoint.3006" in refused.stderr, refused.stderr

    (row,) = typed(provider, *connection, "set", service_id, endpoint_id, "--reject")
    assert row["Status"] == "rejected"
    done(consumer, "vpcep", "endpoint", "delete", endpoint_id)
    until(lambda: typed(consumer, "vpcep", "endpoint", "list"), lambda seen: seen == [])

    typed(provider, *whitelist, "set", service_id, consumer.domain_id, "--remove")
    words = ["--name", "www", "--disable-approval"]
    words += ["--ports", "client_port=443,server_port=8443,protocol=TCP"]
    changed = typed(provider, "vpcep", "service", "update", full_name, *words)
    assert changed["service_name"].endswith(f".www.{service_id}")
    done(provider, "vpcep", "service", "delete", service_id)
    until(lambda: typed(provider, "vpcep", "service", "list"), lambda seen: seen == [])


def test_what_is_not_there_is_said_by_its_code(consumer):
    ran = run(consumer, "vpcep", "endpoint", "show", "00000000-0000-4000-8000-000000000000")
    assert ran.returncode != 0
    assert "EndPoint.2006" in ran.stderr or "No Endpoint found" in ran.stderr, ran.stderr
