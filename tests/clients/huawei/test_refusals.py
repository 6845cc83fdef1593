"""Bad input, by the code that the caller is given. Nothing may come of it."""

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpcep import v1 as sdk

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def stage(seller, buyer):
    return Stage(seller, buyer)


class Stage:
    """What the wrong calls are about."""

    def __init__(self, seller, buyer):
        self.seller, self.buyer = seller, buyer
        self.service = seller.offer(service_name="target")
        self.closed = seller.offer(service_name="closed")
        seller.permit(self.service.id, [buyer.domain()])
        self.endpoint = buyer.connect(self.service.id, "pendingAcceptance", port_ip="10.0.0.50")
        self.connected = buyer.connect(self.service.id, "pendingAcceptance")
        seller.decide(self.service.id, "receive", [self.connected.id])
        buyer.await_status(self.connected.id, "accepted")
        self.elsewhere = buyer.account.network("10.7.0.0/24")
        self.spare = seller.network.backend("10.0.0.99")
        self.stranger = seller.account.network("10.8.0.0/24").backend("10.8.0.10")

    def known(self):
        """Everything a wrong call could have changed."""
        return (
            self.seller.services(limit=1000).to_json_object(),
            self.buyer.endpoints(limit=1000).to_json_object(),
            self.seller.permissions(self.service.id, limit=500).to_json_object(),
        )

    def offer(self, **changes):
        return self.seller.create_service(**({"port_id": self.spare} | changes))

    def connect(self, service=None, **changes):
        return self.buyer.create_endpoint(service or self.service.id, **changes)

    def policy(self, **fields):
        return self.buyer.client.update_endpoint_policy(
            sdk.UpdateEndpointPolicyRequest(
                vpc_endpoint_id=self.endpoint.id, body=sdk.UpdateEndpointPolicyRequestBody(**fields)
            )
        )

    def bind(self, tables):
        return self.buyer.client.update_endpoint_routetable(
            sdk.UpdateEndpointRoutetableRequest(
                vpc_endpoint_id=self.endpoint.id,
                body=sdk.UpdateEndpointRoutetableRequestBody(routetables=tables),
            )
        )

    def batch_permit(self, permissions):
        entries = [sdk.EpsAddPermissionRequest(permission=text) for text in permissions]
        return self.seller.client.batch_add_endpoint_service_permissions(
            sdk.BatchAddEndpointServicePermissionsRequest(
                vpc_endpoint_service_id=self.service.id,
                body=sdk.BatchAddEndpointServicePermissionsRequestBody(permissions=entries),
            )
        )

    def describe(self, **query):
        return self.buyer.client.list_service_describe_details(
            sdk.ListServiceDescribeDetailsRequest(**query)
        )


def port(client=80, server=80, protocol="TCP"):
    return sdk.PortList(client_port=client, server_port=server, protocol=protocol)


def many_tags(count):
    return [sdk.TagList(key=f"key-{number}", value="x") for number in range(count)]


#: Status, the codes that say it, the call.
REFUSALS = {
    # Lists
    "limit above its range": (400, "0006", lambda s: s.seller.services(limit=1001)),
    "limit below its range": (400, "0006", lambda s: s.buyer.endpoints(limit=-1)),
    "limit of permissions": (400, "0006", lambda s: s.seller.permissions(s.service.id, limit=501)),
    "offset below its range": (400, "0010", lambda s: s.seller.services(offset=-1)),
    "sort key": (400, "0017", lambda s: s.buyer.endpoints(sort_key="name")),
    "sort direction": (400, "0018", lambda s: s.seller.services(sort_dir="up")),
    "status of services": (400, "0019", lambda s: s.seller.services(status="asleep")),
    "status of connections": (
        400,
        "0019",
        lambda s: s.seller.connections(s.service.id, status="available"),
    ),
    "marker that is no number": (
        400,
        "0021",
        lambda s: s.seller.connections(s.service.id, marker_id="many"),
    ),
    # Services
    "service that is not there": (404, "0005", lambda s: s.seller.show_service(NOBODY)),
    "service of another": (404, "0005", lambda s: s.buyer.show_service(s.service.id)),
    "change of another's service": (
        404,
        "0005",
        lambda s: s.buyer.update_service(s.service.id, service_name="mine"),
    ),
    "deletion of another's service": (404, "0005", lambda s: s.buyer.delete_service(s.service.id)),
    "whitelist of another's service": (404, "0005", lambda s: s.buyer.permissions(s.service.id)),
    "connections of another's service": (404, "0005", lambda s: s.buyer.connections(s.service.id)),
    "name too long": (400, "1003", lambda s: s.offer(service_name="a" * 17)),
    "name with a dot": (400, "1003", lambda s: s.offer(service_name="a.b")),
    "rename to nonsense": (
        400,
        "1003",
        lambda s: s.seller.update_service(s.service.id, service_name="a b"),
    ),
    "description with markup": (400, "0002", lambda s: s.offer(description="<b>")),
    "approval that is no boolean": (400, "0002", lambda s: s.offer(approval_enabled="sometimes")),
    "service type": (400, "0002", lambda s: s.offer(service_type="tunnel")),
    "VPC of no form": (400, "0020", lambda s: s.offer(vpc_id="vpc")),
    "VPC that is not there": (400, "2001", lambda s: s.offer(vpc_id=NOBODY)),
    "VPC missing": (400, "2011", lambda s: s.offer(vpc_id=None)),
    "backend of no form": (400, "3003", lambda s: s.offer(port_id="nic")),
    "backend that is not there": (400, "3008 3063", lambda s: s.offer(port_id=NOBODY)),
    "backend of another VPC": (400, "3042", lambda s: s.offer(port_id=s.stranger)),
    "server type": (400, "3021", lambda s: s.offer(server_type="FPGA")),
    "server type missing": (400, "3021 2002", lambda s: s.offer(server_type=None)),
    "no ports": (400, "2028 3004", lambda s: s.offer(ports=[])),
    "ports missing": (400, "2028 2002", lambda s: s.offer(ports=None)),
    "server port missing": (400, "2028", lambda s: s.offer(ports=[port(server=None)])),
    "client port 0": (400, "3043", lambda s: s.offer(ports=[port(client=0)])),
    "server port 65536": (400, "3043", lambda s: s.offer(ports=[port(server=65536)])),
    "protocol": (400, "3075", lambda s: s.offer(ports=[port(protocol="SCTP")])),
    "a mapping twice": (400, "3004", lambda s: s.offer(ports=[port(), port()])),
    "201 mappings": (
        400,
        "3074",
        lambda s: s.offer(ports=[port(number, 80) for number in range(1, 202)]),
    ),
    "a server port that another service has": (
        400,
        "3044",
        lambda s: s.offer(port_id=s.service.port_id, ports=[port(81, 8080)]),
    ),
    "tcp_proxy": (400, "0002", lambda s: s.offer(tcp_proxy="ajar")),
    "21 tags": (400, "3069", lambda s: s.offer(tags=many_tags(21))),
    "service in use": (400, "3006", lambda s: s.seller.delete_service(s.service.id)),
    "describe without a name": (400, "1004 2002 0002", lambda s: s.describe()),
    "describe nothing": (404, "0005", lambda s: s.describe(id=NOBODY)),
    # Whitelist of accounts
    "permission of no form": (400, "3002", lambda s: s.seller.permit(s.service.id, ["domain"])),
    "permission too long": (
        400,
        "3002",
        lambda s: s.seller.permit(s.service.id, [f"iam:domain::{'a' * 65}"]),
    ),
    "no permissions": (400, "3036", lambda s: s.seller.permit(s.service.id, [])),
    "no permissions in a batch": (400, "3036", lambda s: s.batch_permit([])),
    "a bad one among good ones": (400, "3002", lambda s: s.batch_permit(["*", "?"])),
    "action on permissions": (400, "3035", lambda s: s.seller.permit(s.service.id, ["*"], "grant")),
    # Connections
    "action on connections": (
        400,
        "3035 2027",
        lambda s: s.seller.decide(s.service.id, "accept", [s.endpoint.id]),
    ),
    "two endpoints at once": (
        400,
        "2031",
        lambda s: s.seller.decide(s.service.id, "receive", [s.endpoint.id, s.connected.id]),
    ),
    "no endpoint": (400, "2031 2017 2002", lambda s: s.seller.decide(s.service.id, "receive", [])),
    "endpoint of another service": (
        400,
        "2013",
        lambda s: s.seller.decide(s.closed.id, "receive", [s.endpoint.id]),
    ),
    # Endpoints
    "endpoint that is not there": (404, "2006 0005", lambda s: s.buyer.show_endpoint(NOBODY)),
    "endpoint of another": (404, "2006 0005", lambda s: s.seller.show_endpoint(s.endpoint.id)),
    "deletion of another's endpoint": (
        404,
        "2006 0005",
        lambda s: s.seller.delete_endpoint(s.endpoint.id),
    ),
    "not on the whitelist": (400, "2012", lambda s: s.connect(s.closed.id)),
    "endpoint of no service": (400, "2003", lambda s: s.connect(NOBODY)),
    "service of no form": (400, "3062", lambda s: s.connect("web")),
    "service missing": (400, "2029", lambda s: s.connect(endpoint_service_id=None)),
    "service empty": (400, "2029", lambda s: s.connect(endpoint_service_id="")),
    "endpoint's VPC of no form": (400, "0020", lambda s: s.connect(vpc_id="vpc")),
    "endpoint's VPC that is not there": (400, "2001", lambda s: s.connect(vpc_id=NOBODY)),
    "endpoint's VPC of another": (
        400,
        "2001",
        lambda s: s.connect(vpc_id=s.seller.network.vpc_id),
    ),
    "endpoint's VPC missing": (400, "2011", lambda s: s.connect(vpc_id=None)),
    "endpoint's VPC empty": (400, "2011 2002", lambda s: s.connect(vpc_id="")),
    "subnet missing": (400, "2010", lambda s: s.connect(subnet_id=None)),
    "subnet of no form": (400, "0023", lambda s: s.connect(subnet_id="subnet")),
    "subnet of another VPC": (400, "2037", lambda s: s.connect(subnet_id=s.elsewhere.subnet_id)),
    "address of no form": (400, "2041", lambda s: s.connect(port_ip="10.0.0")),
    "address outside": (400, "2043", lambda s: s.connect(port_ip="10.0.1.1")),
    "address in use": (400, "2042", lambda s: s.connect(port_ip="10.0.0.50")),
    "enable_dns that is no boolean": (400, "2033 2034", lambda s: s.connect(enable_dns="yes")),
    "whitelist entry": (400, "2044", lambda s: s.connect(whitelist=["10.0.0.300"])),
    "whitelist entry with host bits": (400, "2044", lambda s: s.connect(whitelist=["10.0.0.1/24"])),
    "201 whitelist entries": (
        400,
        "2045",
        lambda s: s.connect(whitelist=[f"10.0.{n // 256}.{n % 256}" for n in range(201)]),
    ),
    "whitelist entry in a change": (
        400,
        "2044",
        lambda s: s.buyer.update_whitelist(s.endpoint.id, whitelist=["here"]),
    ),
    "policy where there is none": (
        400,
        "2048 2049",
        lambda s: s.policy(policy_document={"Version": "5.0"}),
    ),
    "route tables of an interface": (
        400,
        "1019 2039 2040 4030 0002",
        lambda s: s.bind([NOBODY]),
    ),
    # Tags
    "tag's key empty": (400, "3066", lambda s: s.offer(tags=[sdk.TagList("", "x")])),
    "tag's key twice": (400, "3067", lambda s: s.offer(tags=[sdk.TagList("a", "x")] * 2)),
    "tag's key with a star": (400, "3068", lambda s: s.offer(tags=[sdk.TagList("a*", "x")])),
    "tag's key too long": (400, "3072", lambda s: s.offer(tags=[sdk.TagList("k" * 129, "x")])),
    "tag's value too long": (400, "3073", lambda s: s.offer(tags=[sdk.TagList("k", "v" * 256)])),
    "tags of nothing": (404, "0005 2006", lambda s: s.seller.tag("endpoint", NOBODY, "create", {"a": "b"})),
    "tags of a thing": (
        400,
        "3070",
        lambda s: s.seller.tag("thing", s.service.id, "create", {"a": "b"}),
    ),
    "action on tags": (
        400,
        "0007",
        lambda s: s.seller.tag("endpoint_service", s.service.id, "paint", {"a": "b"}),
    ),
    "21 tags one by one": (
        400,
        "3069",
        lambda s: s.seller.tag(
            "endpoint_service", s.service.id, "create", {f"k{n}": "x" for n in range(21)}
        ),
    ),
    "a value twice in a search": (
        400,
        "3071",
        lambda s: s.seller.search(
            "endpoint_service", action="filter", tags=[sdk.TagValuesList("a", ["x", "x"])]
        ),
    ),
    "action of a search": (
        400,
        "0007",
        lambda s: s.seller.search("endpoint_service", action="guess"),
    ),
    "limit of a search": (
        400,
        "0006",
        lambda s: s.seller.search("endpoint_service", action="filter", limit="0"),
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refused_with_its_code_and_nothing_changed(stage, what):
    status, codes, call = REFUSALS[what]
    before = stage.known()
    with pytest.raises(ClientRequestException) as refused:
        call(stage)
    answer = refused.value
    assert answer.status_code == status, answer.error_msg
    allowed = [f"endpoint.{code}" for code in codes.split()]
    assert answer.error_code.lower() in allowed, answer.error_msg
    assert answer.error_msg and answer.request_id
    assert stage.known() == before


@pytest.mark.parametrize("kind", ["endpoint", "endpoint_service"])
def test_quota(seller, buyer, stage, kind):
    account = buyer.account if kind == "endpoint" else seller.account
    listed = buyer.endpoints if kind == "endpoint" else seller.services
    create = (lambda: stage.connect()) if kind == "endpoint" else seller.offer
    used = listed().total_count
    account.set_quota(kind, used)
    with pytest.raises(ClientRequestException) as refused:
        create()
    assert (refused.value.status_code, refused.value.error_code.lower()) == (400, "endpoint.1018")
    assert listed().total_count == used
    account.set_quota(kind, used + 1)
    create()
    assert listed().total_count == used + 1
