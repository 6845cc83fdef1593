"""What only the operator offers: gateway services, with route tables, and
services with a policy. Made by hand, used with the client."""

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpcep import v1 as sdk

from polling import until


@pytest.fixture(scope="module")
def storage(controller):
    """A gateway service that everybody may use."""
    vpc = {"vpc": {"name": "backbone", "cidr": "172.20.0.0/16"}}
    vpc_id = controller.operate("POST", "/v1/-/vpcs", vpc)["vpc"]["id"]
    service = {
        "vpc_id": vpc_id,
        "service_type": "gateway",
        "service_name": "storage",
        "prefixes": ["100.125.0.0/16"],
        "public": True,
        "enable_policy": True,
        "approval_enabled": False,
    }
    made = controller.operate("POST", "/v1/-/vpc-endpoint-services", service)
    path = f"/v1/-/vpc-endpoint-services/{made['id']}"
    return until(lambda: controller.operate("GET", path), lambda seen: seen["status"] == "available")


@pytest.fixture(scope="module")
def tables(buyer):
    """Two route tables of the buyer's."""
    network = buyer.network
    body = {"routetable": {"name": "aside", "vpc_id": network.vpc_id}}
    aside = buyer.account.operate("POST", "routetables", body)["routetable"]
    listed = buyer.account.operate("GET", "routetables")["routetables"]
    mine = [table for table in listed if table["vpc_id"] == network.vpc_id]
    default = next(table for table in mine if table["default"])
    return {"default": default["id"], "aside": aside["id"]}


def gateway(buyer, storage, **fields):
    """An endpoint of the gateway service: no subnet, no address."""
    body = sdk.CreateEndpointRequestBody(
        endpoint_service_id=storage["id"], vpc_id=buyer.network.vpc_id, **fields
    )
    return buyer.client.create_endpoint(sdk.CreateEndpointRequest(body=body))


def bind(buyer, endpoint_id, tables):
    return buyer.client.update_endpoint_routetable(
        sdk.UpdateEndpointRoutetableRequest(
            vpc_endpoint_id=endpoint_id,
            body=sdk.UpdateEndpointRoutetableRequestBody(routetables=tables),
        )
    )


def test_it_is_public(buyer, storage):
    public = buyer.client.list_service_public_details(
        sdk.ListServicePublicDetailsRequest(endpoint_service_name=storage["service_name"])
    )
    (row,) = public.endpoint_services
    assert (row.id, row.service_type) == (storage["id"], "gateway")
    assert (row.is_charge, row.enable_policy) == (False, True)
    assert row.owner
    by_id = buyer.client.list_service_public_details(
        sdk.ListServicePublicDetailsRequest(id=storage["id"])
    )
    assert by_id.total_count == 1


def test_its_endpoint_has_routes_and_no_address(buyer, storage, tables):
    made = gateway(buyer, storage)
    assert made.service_type == "gateway"
    seen = buyer.await_status(made.id, "accepted")
    assert seen.ip is None
    assert seen.routetables == [tables["default"]]

    other = bind(buyer, made.id, [tables["aside"]])
    assert other.routetables == [tables["aside"]]
    assert not any(problem.bind_failed or problem.unbind_failed for problem in other.error or [])
    assert buyer.show_endpoint(made.id).routetables == [tables["aside"]]
    buyer.delete_endpoint(made.id)


def test_a_table_that_is_not_there_cannot_be_bound(buyer, storage):
    with pytest.raises(ClientRequestException) as refused:
        gateway(buyer, storage, routetables=["00000000-0000-4000-8000-000000000000"])
    assert refused.value.error_code.lower() in ("endpoint.1019", "endpoint.4030")


def test_policy(buyer, storage, tables):
    statement = sdk.PolicyStatement(
        effect="Allow", action=["obs:object:GetObject"], resource=["obs:*:*:object:bucket/*"]
    )
    made = gateway(buyer, storage, routetables=[tables["default"]], policy_statement=[statement])
    assert made.policy_statement[0].to_dict() == statement.to_dict()

    document = {"Version": "5.0", "Statement": [{"Effect": "Deny", "Action": ["*"]}]}
    changed = buyer.client.update_endpoint_policy(
        sdk.UpdateEndpointPolicyRequest(
            vpc_endpoint_id=made.id,
            body=sdk.UpdateEndpointPolicyRequestBody(
                policy_statement=[sdk.PolicyStatement(effect="Deny", action=["*"], resource=["*"])],
                policy_document=document,
            ),
        )
    )
    assert changed.policy_statement[0].effect == "Deny"
    assert changed.policy_document == document

    removed = buyer.client.delete_endpoint_policy(
        sdk.DeleteEndpointPolicyRequest(vpc_endpoint_id=made.id)
    )
    assert removed.id == made.id
    effects = [statement.effect for statement in removed.policy_statement or []]
    assert "Deny" not in effects, "the default allows everything"
    buyer.delete_endpoint(made.id)


def test_a_tenant_cannot_offer_one(seller):
    with pytest.raises(ClientRequestException) as refused:
        seller.create_service(service_type="gateway")
    assert refused.value.status_code == 400
