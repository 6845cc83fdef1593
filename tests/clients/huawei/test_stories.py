"""What users do, from the first call to the last, and the same calls twice."""

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpcep import v1 as sdk

from huawei.tenant import Tenant
from polling import until


def refused(call, code):
    with pytest.raises(ClientRequestException) as refusal:
        call()
    assert refusal.value.error_code.lower() == f"endpoint.{code}", refusal.value.error_msg


def test_one_account_two_networks(controller):
    """A service behind a load balancer in one VPC, its client in another."""
    account = controller.account("acme")
    servers = account.network("192.168.24.0/24")
    acme = Tenant(account, account.network("10.0.0.0/24"))
    service = acme.create_service(
        vpc_id=servers.vpc_id,
        port_id=servers.backend("192.168.24.100", "LB"),
        server_type="LB",
        service_name="shop",
    )
    until(lambda: acme.show_service(service.id), lambda seen: seen.status == "available")

    endpoint = acme.create_endpoint(service.id, port_ip="10.0.0.100")
    assert endpoint.status == "pendingAcceptance", "the own account is allowed, but waits"
    acme.decide(service.id, "receive", [endpoint.id])
    assert acme.await_status(endpoint.id, "accepted").ip == "10.0.0.100"

    refused(lambda: acme.delete_service(service.id), "3006")
    acme.delete_endpoint(endpoint.id)
    until(lambda: acme.endpoints(), lambda seen: seen.total_count == 0)
    acme.delete_service(service.id)
    until(lambda: acme.services(), lambda seen: seen.total_count == 0)


def test_two_accounts(seller, buyer):
    """Refused, let in, waiting, accepted, rejected, accepted again, gone."""
    service = seller.offer(service_name="trade")
    refused(lambda: buyer.create_endpoint(service.id), "2012")

    seller.permit(service.id, [buyer.domain()])
    endpoint = buyer.create_endpoint(service.id)
    assert endpoint.ip is None
    row = seller.connections(service.id).connections[0]
    assert (row.id, row.domain_id) == (endpoint.id, buyer.account.domain_id)

    seller.decide(service.id, "receive", [endpoint.id])
    address = buyer.await_status(endpoint.id, "accepted").ip
    assert address.startswith("10.0.0.")

    seller.decide(service.id, "reject", [endpoint.id])
    assert buyer.await_status(endpoint.id, "rejected").ip == address
    seller.decide(service.id, "receive", [endpoint.id])
    assert buyer.await_status(endpoint.id, "accepted").ip == address

    # Taken off the list: what is connected stays, nothing new comes.
    seller.permit(service.id, [buyer.domain()], action="remove")
    assert buyer.show_endpoint(endpoint.id).status == "accepted"
    refused(lambda: buyer.create_endpoint(service.id), "2012")

    # Approval switched off later does not move what waits.
    seller.permit(service.id, [buyer.domain()])
    waiting = buyer.create_endpoint(service.id)
    seller.update_service(service.id, approval_enabled=False)
    assert buyer.show_endpoint(waiting.id).status == "pendingAcceptance"

    # What is not connected does not keep the service; it fails with it.
    buyer.delete_endpoint(endpoint.id)
    until(lambda: buyer.endpoints(id=endpoint.id), lambda seen: seen.total_count == 0)
    seller.delete_service(service.id)
    left = buyer.await_status(waiting.id, "failed")
    assert [problem.error_code.lower() for problem in left.error] == ["endpoint.2003"]
    buyer.delete_endpoint(waiting.id)


def test_the_same_calls_twice(seller, buyer):
    """As tools do that describe what should be: the second time changes nothing."""
    service = seller.offer(service_name="steady")
    for _ in range(2):
        assert seller.permit(service.id, [buyer.domain()]).permissions == [buyer.domain()]
        assert seller.permissions(service.id).total_count == 1
    endpoint = buyer.connect(service.id, "pendingAcceptance")
    for _ in range(2):
        changed = buyer.update_whitelist(
            endpoint.id, whitelist=["10.0.0.0/25"], enable_whitelist=True
        )
        assert (changed.whitelist, changed.enable_whitelist) == (["10.0.0.0/25"], True)
    for _ in range(2):
        changed = seller.update_service(
            service.id,
            approval_enabled=True,
            ports=[sdk.PortList(client_port=81, server_port=8081, protocol="TCP")],
        )
        assert [port.client_port for port in changed.ports] == [81]
    for _ in range(2):
        seller.permit(service.id, [buyer.domain()], action="remove")
        assert seller.permissions(service.id).total_count == 0
    buyer.delete_endpoint(endpoint.id)
