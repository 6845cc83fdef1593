"""`conn.vpcep` of otcextensions: all of its calls, in every way of logging in."""

import inspect
import os
import re
from pathlib import Path
from unittest import mock

import openstack
import pytest
from openstack import exceptions
from otcextensions import sdk
from otcextensions.sdk.vpcep.v1._proxy import Proxy

import openrc
from polling import until

NOBODY = "00000000-0000-4000-8000-000000000000"


def connect(account, way=openrc.password):
    with mock.patch.dict(os.environ, way(account)):
        connection = openstack.connect()
    sdk.register_otc_extensions(connection)
    return connection.vpcep


@pytest.fixture(scope="module")
def seller(provider):
    return connect(provider)


@pytest.fixture(scope="module")
def buyer(consumer):
    return connect(consumer)


@pytest.fixture(scope="module")
def servers(provider):
    return provider.network("10.0.0.0/24")


@pytest.fixture(scope="module")
def clients(consumer):
    return consumer.network("10.0.0.0/24")


@pytest.fixture(scope="module")
def service(seller, servers, consumer):
    service = seller.create_service(
        service_name="web",
        port_id=servers.backend("10.0.0.10", "LB"),
        vpc_id=servers.vpc_id,
        server_type="LB",
        ports=[{"client_port": 80, "server_port": 8080, "protocol": "TCP"}],
    )
    list(seller.manage_service_whitelist(service, "add", [consumer.domain_id]))
    return until(lambda: seller.get_service(service.id), lambda seen: seen.status == "available")


def connected(buyer, clients, service):
    return buyer.create_endpoint(
        endpoint_service_id=service.id, router_id=clients.vpc_id, network_id=clients.subnet_id
    )


def test_every_call_is_made_by_these_tests():
    calls = {name for name, _ in inspect.getmembers(Proxy, inspect.isfunction) if name in vars(Proxy)}
    made = set(re.findall(r"(?:seller|buyer|vpcep)\.(\w+)\(", Path(__file__).read_text()))
    assert calls - made == set()


@pytest.mark.parametrize("way", openrc.WAYS, ids=lambda way: way.__name__)
def test_every_way_of_logging_in(provider, way):
    vpcep = connect(provider, way)
    assert {quota.type for quota in vpcep.resource_quota()} == {"endpoint", "endpoint_service"}
    if way is openrc.override:
        assert vpcep.endpoint_override.startswith("http://localhost:")


def test_wrong_password(provider):
    wrong = lambda account: openrc.password(account) | {"OS_PASSWORD": "wrong"}  # noqa: E731
    with pytest.raises(Exception, match="401"):
        connect(provider, wrong)


def test_service(seller, servers, service):
    assert service.is_approval_enabled is True
    assert service.router_id == servers.vpc_id
    assert [found.id for found in seller.services(name="web")] == [service.id]
    assert seller.find_service(service.id).id == service.id
    assert seller.find_service(service.service_name).id == service.id
    assert seller.find_service("web", ignore_missing=True) is None, "a short name finds nothing"
    changed = seller.update_service(service.id, service_name="www", is_approval_enabled=False)
    assert changed.service_name.endswith(f".www.{service.id}")
    assert changed.is_approval_enabled is False
    seller.update_service(service.id, service_name="web", is_approval_enabled=True)


def test_whitelist(seller, service):
    added = list(seller.manage_service_whitelist(service, "add", ["abc", "*"]))
    assert [entry.permission for entry in added] == ["iam:domain::abc", "iam:domain::*"]
    listed = {entry.permission for entry in seller.service_whitelist(service)}
    assert "iam:domain::abc" in listed
    list(seller.manage_service_whitelist(service, "remove", ["abc", "*"]))
    left = {entry.permission for entry in seller.service_whitelist(service)}
    assert "iam:domain::abc" not in left and len(left) == 1


def test_endpoint_and_its_connection(seller, buyer, clients, service):
    endpoint = connected(buyer, clients, service)
    assert endpoint.status == "pendingAcceptance"
    assert (endpoint.router_id, endpoint.network_id) == (clients.vpc_id, clients.subnet_id)
    assert endpoint.is_dns_enabled is False and endpoint.is_whitelist_enabled is False
    assert [found.id for found in buyer.endpoints(router_id=clients.vpc_id)] == [endpoint.id]

    (waiting,) = seller.service_connections(service)
    assert (waiting.id, waiting.status) == (endpoint.id, "pendingAcceptance")
    list(seller.manage_service_connections(service, "accept", [endpoint.id]))
    seen = until(lambda: buyer.get_endpoint(endpoint.id), lambda seen: seen.status == "accepted")
    assert seen.ip
    (row,) = seller.services(id=service.id)
    assert row.connection_count == 1
    (rejected,) = seller.manage_service_connections(service, "reject", [endpoint.id])
    assert rejected.status == "rejected"

    buyer.delete_endpoint(endpoint.id)
    until(lambda: list(buyer.endpoints()), lambda seen: not seen)
    buyer.delete_endpoint(endpoint.id)
    with pytest.raises(exceptions.ResourceNotFound):
        buyer.delete_endpoint(endpoint.id, ignore_missing=False)


def test_target_and_public_services(buyer, service):
    assert buyer.get_target_service(service.id).service_name == service.service_name
    assert buyer.get_target_service(service.service_name).id == service.id
    assert buyer.get_target_service(NOBODY, ignore_missing=True) is None
    assert list(buyer.public_services()) == []


def test_pages(provider, seller):
    network = provider.network("10.1.0.0/24")
    made = [
        seller.create_service(
            service_name=f"page-{number}",
            port_id=network.backend(f"10.1.0.{number + 10}"),
            vpc_id=network.vpc_id,
            server_type="VM",
            ports=[{"client_port": 80, "server_port": 80, "protocol": "TCP"}],
        )
        for number in range(11)
    ]
    assert len(list(seller.services(name="page"))) == 10, "the default, and no next page"
    assert len(list(seller.services(name="page", limit=4, offset=8))) == 3
    assert len(list(seller.services(name="page", limit=100))) == len(made)


def test_deleting_what_is_in_use(seller, buyer, clients, service):
    endpoint = connected(buyer, clients, service)
    list(seller.manage_service_connections(service, "accept", [endpoint.id]))
    with pytest.raises(exceptions.BadRequestException, match=r"(?i)EndPoint\.3006"):
        seller.delete_service(service.id)
    buyer.delete_endpoint(endpoint.id)
    until(lambda: list(buyer.endpoints()), lambda seen: not seen)
    seller.delete_service(service.id)
    until(lambda: list(seller.services(name="web")), lambda seen: not seen)
    seller.delete_service(service.id)
