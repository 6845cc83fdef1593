"""Every call of the client, and what comes back in the SDK's own objects."""

import inspect
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpcep import v1 as sdk

from polling import until

#: Calls of paths below /v2, which vpcepd does not serve.
NOT_SERVED = {
    "add_endpoint_service_server_resource",
    "upgrade_endpoint",
    "upgrade_endpoint_service",
}


def test_every_call_of_the_client_is_made_by_these_tests():
    calls = {
        name
        for name, _ in inspect.getmembers(sdk.VpcepClient, inspect.isfunction)
        if f"{name}_invoker" in vars(sdk.VpcepClient)
    }
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    made = {name for name in calls if re.search(rf"client\.{name}\(", sources)}
    assert calls - made == NOT_SERVED


@pytest.fixture(scope="module")
def service(seller, buyer):
    """A service that the buyer may connect to."""
    service = seller.offer(service_name="web", tags=[sdk.TagList("env", "test")])
    seller.permit(service.id, [buyer.domain()])
    return service


@pytest.fixture(scope="module")
def endpoint(buyer, service):
    """An endpoint that waits to be accepted."""
    return buyer.connect(service.id, "pendingAcceptance")


class TestServices:
    def test_create_shows_the_transient_state(self, seller):
        port_id = seller.network.backend("10.0.0.200", "LB")
        made = seller.create_service(
            port_id=port_id,
            server_type="LB",
            service_name="shop-1",
            approval_enabled=False,
            description="a shop",
            tags=[sdk.TagList(key="env", value="test")],
        )
        assert made.status == "creating"
        assert made.service_name == f"{seller.account.controller.region}.shop-1.{made.id}"
        assert (made.port_id, made.vpc_id) == (port_id, seller.network.vpc_id)
        assert (made.server_type, made.service_type) == ("LB", "interface")
        assert made.approval_enabled is False
        assert made.tcp_proxy == "close"
        assert made.project_id == seller.account.project_id
        assert made.description == "a shop"
        assert [tag.to_dict() for tag in made.tags] == [{"key": "env", "value": "test"}]
        assert made.ports[0].to_dict() == {"client_port": 80, "server_port": 8080, "protocol": "TCP"}
        # A wrong form the SDK would have left as text.
        age = datetime.now(timezone.utc) - made.created_at
        assert abs(age) < timedelta(minutes=1) and made.created_at.microsecond == 0

    def test_defaults_and_the_name_without_a_name(self, seller):
        made = seller.create_service(port_id=seller.network.backend("10.0.0.201"))
        assert made.approval_enabled is True
        assert made.service_name == f"{seller.account.controller.region}.{made.id}"

    def test_show(self, seller, service):
        seen = seller.show_service(service.id)
        assert seen.id == service.id
        assert seen.status == "available"
        assert seen.supported_editions == ["basic"]
        assert seen.cidr_type == "internal"
        assert seen.enable_policy is False
        assert not seen.error

    def test_list_and_its_filters(self, seller, service):
        all_of_them = seller.services(limit=1000)
        assert all_of_them.total_count == len(all_of_them.endpoint_services)
        row = next(row for row in all_of_them.endpoint_services if row.id == service.id)
        assert row.domain_id == seller.account.domain_id
        assert row.connection_count == 0
        assert [tag.key for tag in row.tags] == ["env"]
        for query in [
            {"id": service.id},
            {"endpoint_service_name": "WEB"},
            {"endpoint_service_name": service.service_name},
        ]:
            found = seller.services(**query)
            assert [row.id for row in found.endpoint_services] == [service.id], query
        assert seller.services(status="available", limit=1).total_count >= 1
        assert seller.services(status="failed").total_count == 0

    @pytest.mark.parametrize("key", ["create_at", "update_at", "created_at", "updated_at"])
    def test_list_sorts_by_either_spelling(self, seller, service, key):
        ascending = seller.services(sort_key=key, sort_dir="asc", limit=1000).endpoint_services
        descending = seller.services(sort_key=key, sort_dir="desc", limit=1000).endpoint_services
        assert [row.id for row in ascending] == [row.id for row in reversed(descending)]

    def test_list_pages(self, seller, service):
        whole = seller.services(limit=1000)
        page = seller.services(limit=1, offset=1)
        assert page.total_count == whole.total_count
        assert [row.id for row in page.endpoint_services] == [whole.endpoint_services[1].id]

    def test_update(self, seller):
        service = seller.offer(service_name="before")
        port_id = seller.network.backend("10.0.0.202")
        ports = [sdk.PortList(client_port=443, server_port=8443, protocol="TCP")]
        changed = seller.update_service(
            service.id,
            service_name="after",
            approval_enabled=False,
            ports=ports,
            port_id=port_id,
            description="changed",
        )
        assert changed.service_name.endswith(f".after.{service.id}")
        assert changed.approval_enabled is False
        assert changed.port_id == port_id
        assert changed.description == "changed"
        assert [port.client_port for port in changed.ports] == [443]
        assert changed.created_at == service.created_at

    def test_rename(self, seller):
        service = seller.offer(service_name="old-name")
        renamed = seller.client.update_endpoint_service_name(
            sdk.UpdateEndpointServiceNameRequest(
                vpc_endpoint_service_id=service.id,
                body=sdk.UpdateEndpointServiceNameRequestBody(endpoint_service_name="new-name"),
            )
        )
        name = f"{seller.account.controller.region}.new-name.{service.id}"
        assert renamed.endpoint_service_name in (name, "new-name")
        assert seller.show_service(service.id).service_name == name

    def test_delete(self, seller):
        service = seller.offer()
        seller.delete_service(service.id)
        until(lambda: seller.services(id=service.id), lambda seen: seen.total_count == 0)
        with pytest.raises(ClientRequestException) as gone:
            seller.show_service(service.id)
        assert gone.value.status_code == 404

    def test_describe_is_for_everyone(self, buyer, service):
        for query in [{"id": service.id}, {"endpoint_service_name": service.service_name}]:
            seen = buyer.client.list_service_describe_details(
                sdk.ListServiceDescribeDetailsRequest(**query)
            )
            assert (seen.id, seen.service_name) == (service.id, service.service_name)
            assert seen.service_type == "interface"
            assert seen.is_charge is False
            assert seen.enable_policy is False

    def test_public_services(self, buyer):
        public = buyer.client.list_service_public_details(
            sdk.ListServicePublicDetailsRequest(limit=10, offset=0, sort_key="create_at")
        )
        assert public.total_count == len(public.endpoint_services)


class TestPermissions:
    def test_add_and_remove(self, seller):
        service = seller.offer()
        added = seller.permit(service.id, ["iam:domain::abc", "*"])
        assert added.permissions == ["iam:domain::abc", "*"]
        assert added.permission_type == "domainId"
        listed = seller.permissions(service.id, sort_key="create_at", sort_dir="asc")
        assert listed.total_count == 2
        assert {row.permission_type for row in listed.permissions} == {"domainId"}
        assert seller.permissions(service.id, permission="ABC").total_count in (0, 1)
        assert seller.permissions(service.id, permission="abc").total_count == 1
        seller.permit(service.id, ["*"], action="remove")
        left = seller.permissions(service.id)
        assert [row.permission for row in left.permissions] == ["iam:domain::abc"]

    def test_batch_add_describe_and_remove(self, seller):
        service = seller.offer()
        entries = [
            sdk.EpsAddPermissionRequest(permission="iam:domain::one", description="the first"),
            sdk.EpsAddPermissionRequest(permission="iam:domain::two"),
        ]
        added = seller.client.batch_add_endpoint_service_permissions(
            sdk.BatchAddEndpointServicePermissionsRequest(
                vpc_endpoint_service_id=service.id,
                body=sdk.BatchAddEndpointServicePermissionsRequestBody(permissions=entries),
            )
        ).permissions
        assert [row.description for row in added][0] == "the first"
        described = seller.client.update_endpoint_service_permission_desc(
            sdk.UpdateEndpointServicePermissionDescRequest(
                vpc_endpoint_service_id=service.id,
                permission_id=added[1].id,
                body=sdk.UpdateEndpointServicePermissionDescRequestBody(
                    permission=sdk.EpsUpdatePermissionDesc(description="the second")
                ),
            )
        ).permissions
        assert [(row.id, row.description) for row in described] == [(added[1].id, "the second")]
        removed = seller.client.batch_remove_endpoint_service_permissions(
            sdk.BatchRemoveEndpointServicePermissionsRequest(
                vpc_endpoint_service_id=service.id,
                body=sdk.BatchRemoveEndpointServicePermissionsRequestBody(
                    permissions=[sdk.EpsRemovePermissionRequest(id=added[0].id)]
                ),
            )
        ).permissions
        assert [row.id for row in removed] == [added[0].id]
        assert [row.id for row in seller.permissions(service.id).permissions] == [added[1].id]

    def test_organizations_are_stored_and_shown(self, seller):
        service = seller.offer()
        path = "organizations:orgPath::o-abc/r-1/*"
        body = sdk.AddOrRemoveServicePermissionsRequestBody(
            permissions=[path], action="add", permission_type="orgPath"
        )
        added = seller.client.add_or_remove_service_permissions(
            sdk.AddOrRemoveServicePermissionsRequest(vpc_endpoint_service_id=service.id, body=body)
        )
        assert (added.permissions, added.permission_type) == ([path], "orgPath")


class TestConnections:
    def test_list(self, seller, buyer, service, endpoint):
        for query in [{"id": endpoint.id}, {"marker_id": str(endpoint.marker_id)}]:
            found = seller.connections(service.id, **query)
            assert [row.id for row in found.connections] == [endpoint.id], query
        row = found.connections[0]
        assert row.marker_id == endpoint.marker_id
        assert row.domain_id == buyer.account.domain_id
        assert row.status == "pendingAcceptance"
        assert seller.connections(service.id, status="accepted").total_count == 0

    def test_describe(self, seller, service, endpoint):
        body = sdk.UpdateEndpointConnectionsDescRequestBody(
            connections=[sdk.ConnectionsDesc(id=endpoint.id, description="a good customer")]
        )
        described = seller.client.update_endpoint_connections_desc(
            sdk.UpdateEndpointConnectionsDescRequest(vpc_endpoint_service_id=service.id, body=body)
        )
        assert [row.description for row in described.connections] == ["a good customer"]
        assert seller.connections(service.id).connections[0].description == "a good customer"

    def test_accept_and_reject(self, seller, buyer, service):
        waiting = buyer.connect(service.id, "pendingAcceptance")
        decided = seller.decide(service.id, "receive", [waiting.id])
        assert [row.status for row in decided.connections][0] in ("creating", "accepted")
        address = buyer.await_status(waiting.id, "accepted").ip
        assert [
            row.connection_count for row in seller.services(id=service.id).endpoint_services
        ] == [1]
        decided = seller.decide(service.id, "reject", [waiting.id])
        assert [row.status for row in decided.connections] == ["rejected"]
        assert buyer.show_endpoint(waiting.id).ip == address


class TestEndpoints:
    def test_create_shows_the_transient_state_and_no_address(self, seller, buyer, service):
        made = buyer.create_endpoint(
            service.id,
            description="from the shop floor",
            enable_whitelist=True,
            whitelist=["10.0.0.0/25", "10.0.0.182"],
            tags=[sdk.TagList(key="env", value="test")],
        )
        assert made.status == "pendingAcceptance"
        assert made.ip is None
        assert (made.endpoint_service_id, made.endpoint_service_name) == (
            service.id,
            service.service_name,
        )
        assert (made.vpc_id, made.subnet_id) == (buyer.network.vpc_id, buyer.network.subnet_id)
        assert isinstance(made.marker_id, int)
        assert made.active_status == ["active"]
        assert made.enable_status == "enable"
        assert made.specification_name == "default"
        assert made.enable_dns is False
        assert made.routetables in (None, [])
        assert (made.enable_whitelist, made.whitelist) == (True, ["10.0.0.0/25", "10.0.0.182"])
        assert [tag.to_dict() for tag in made.tags] == [{"key": "env", "value": "test"}]

    def test_without_approval_it_is_accepted_by_itself(self, seller, buyer):
        service = seller.offer(approval_enabled=False)
        seller.permit(service.id, [buyer.domain()])
        made = buyer.create_endpoint(service.id, port_ip="10.0.0.77")
        assert made.status == "creating"
        assert buyer.await_status(made.id, "accepted").ip == "10.0.0.77"

    def test_private_name(self, seller, buyer, service):
        made = buyer.create_endpoint(service.id, enable_dns=True)
        seen = buyer.show_endpoint(made.id)
        assert seen.enable_dns is True
        assert len(seen.dns_names) == 1 and made.id in seen.dns_names[0]

    def test_list_and_its_filters(self, buyer, service, endpoint):
        for query in [
            {"id": endpoint.id},
            {"vpc_id": buyer.network.vpc_id, "limit": 1000},
            {"endpoint_service_name": service.service_name, "limit": 1000},
        ]:
            rows = buyer.endpoints(**query).endpoints
            assert endpoint.id in [row.id for row in rows], query
        page = buyer.endpoints(sort_key="update_at", sort_dir="asc", limit=1, offset=1)
        assert len(page.endpoints) == 1 and page.total_count > 1

    def test_whitelist(self, buyer, endpoint):
        changed = buyer.update_whitelist(endpoint.id, whitelist=["10.0.0.5"], enable_whitelist=True)
        assert (changed.whitelist, changed.enable_whitelist) == (["10.0.0.5"], True)
        cleared = buyer.update_whitelist(endpoint.id, whitelist=[], enable_whitelist=False)
        assert (cleared.whitelist or [], cleared.enable_whitelist) == ([], False)

    def test_delete(self, seller, buyer, service):
        made = buyer.connect(service.id, "pendingAcceptance")
        buyer.delete_endpoint(made.id)
        until(lambda: buyer.endpoints(id=made.id), lambda seen: seen.total_count == 0)
        assert seller.connections(service.id, id=made.id).total_count == 0
        with pytest.raises(ClientRequestException) as gone:
            buyer.show_endpoint(made.id)
        assert gone.value.status_code == 404


class TestTags:
    def test_change(self, seller):
        service = seller.offer(tags=[sdk.TagList(key="env", value="test")])
        seller.tag("endpoint_service", service.id, "create", {"env": "prod", "team": "net"})
        seller.tag("endpoint_service", service.id, "delete", {"team": None})
        tags = seller.show_service(service.id).tags
        assert [tag.to_dict() for tag in tags] == [{"key": "env", "value": "prod"}]
        seller.tag("endpoint_service", service.id, "delete", {"env": "not this"})
        assert len(seller.show_service(service.id).tags) == 1

    def test_of_the_project(self, buyer, service):
        buyer.create_endpoint(service.id, tags=[sdk.TagList("colour", "red")])
        buyer.create_endpoint(service.id, tags=[sdk.TagList("colour", "blue")])
        tags = buyer.client.list_query_project_resource_tags(
            sdk.ListQueryProjectResourceTagsRequest(resource_type="endpoint")
        ).tags
        assert {tag.key: sorted(tag.values) for tag in tags}["colour"] == ["blue", "red"]

    def test_search(self, seller):
        one = seller.offer(service_name="tagged-one", tags=[sdk.TagList("tier", "gold")])
        two = seller.offer(service_name="tagged-two", tags=[sdk.TagList("tier", "lead")])

        def found(**query):
            answer = seller.search("endpoint_service", action="filter", limit="100", **query)
            assert answer.total_count == len(answer.resources)
            return {row.resource_id for row in answer.resources}

        gold = [sdk.TagValuesList(key="tier", values=["gold"])]
        either = [sdk.TagValuesList(key="tier", values=[])]
        assert found(tags=gold) == {one.id}
        assert found(tags=either) == {one.id, two.id}
        assert found(tags_any=gold) == {one.id}
        assert found(tags=either, not_tags=gold) == {two.id}
        assert found(tags=either, not_tags_any=gold) == {two.id}
        assert found(matches=[sdk.Match(key="resource_name", value="TAGGED-T")]) == {two.id}
        assert one.id not in found(without_any_tag=True)
        count = seller.search("endpoint_service", action="count", tags=either)
        assert (count.total_count, count.resources) == (2, None)


def test_quotas(seller):
    request = sdk.ListQuotaDetailsRequest()
    quotas = {row.type: row for row in seller.client.list_quota_details(request).quotas.resources}
    assert set(quotas) == {"endpoint_service", "endpoint"}
    assert quotas["endpoint"].quota == 50
    assert quotas["endpoint_service"].used == seller.services().total_count
    request = sdk.ListQuotaDetailsRequest(type="endpoint")
    assert [row.type for row in seller.client.list_quota_details(request).quotas.resources] == [
        "endpoint"
    ]


def test_versions(seller):
    versions = seller.client.list_version_details(sdk.ListVersionDetailsRequest()).versions
    assert [version.id for version in versions] == ["v1"]
    version = seller.client.list_specified_version_details(
        sdk.ListSpecifiedVersionDetailsRequest(version="v1")
    ).version
    assert version.status in ("CURRENT", "SUPPORT")
