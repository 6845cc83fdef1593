"""One account as the Huawei SDK sees it: the client, and short forms of the
calls that every test makes. Whatever is left out has a value that works."""

from functools import cached_property

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkvpcep import v1 as sdk

from polling import until


def client_of(account, credentials=None):
    """A client that signs with the account's key, or with other credentials."""
    credentials = credentials or BasicCredentials(
        account.access_key, account.secret_key, account.project_id
    )
    return (
        sdk.VpcepClient.new_builder()
        .with_credentials(credentials)
        .with_endpoint(account.controller.url)
        .build()
    )


class Tenant:
    """An account with one network; what it offers is behind `port_id`."""

    def __init__(self, account, network, port_id=None):
        self.account = account
        self.network = network
        self.port_id = port_id

    @cached_property
    def client(self):
        return client_of(self.account)

    def create_service(self, **changes):
        fields = {
            "port_id": self.port_id,
            "vpc_id": self.network.vpc_id,
            "server_type": "VM",
            "ports": [sdk.PortList(client_port=80, server_port=8080, protocol="TCP")],
        }
        body = sdk.CreateEndpointServiceRequestBody(**(fields | changes))
        return self.client.create_endpoint_service(sdk.CreateEndpointServiceRequest(body=body))

    def offer(self, **changes):
        """A service of a backend of its own, once it is available."""
        host = len(self.network.account.operate("GET", "backends")["backends"]) + 10
        changes.setdefault("port_id", self.network.backend(f"10.0.0.{host}"))
        service = self.create_service(**changes)
        return until(lambda: self.show_service(service.id), lambda seen: seen.status == "available")

    def show_service(self, id):
        return self.client.list_service_details(
            sdk.ListServiceDetailsRequest(vpc_endpoint_service_id=id)
        )

    def update_service(self, id, **fields):
        body = sdk.UpdateEndpointServiceRequestBody(**fields)
        return self.client.update_endpoint_service(
            sdk.UpdateEndpointServiceRequest(vpc_endpoint_service_id=id, body=body)
        )

    def delete_service(self, id):
        return self.client.delete_endpoint_service(
            sdk.DeleteEndpointServiceRequest(vpc_endpoint_service_id=id)
        )

    def permit(self, id, permissions, action="add"):
        body = sdk.AddOrRemoveServicePermissionsRequestBody(permissions=permissions, action=action)
        return self.client.add_or_remove_service_permissions(
            sdk.AddOrRemoveServicePermissionsRequest(vpc_endpoint_service_id=id, body=body)
        )

    def permissions(self, service_id, **query):
        return self.client.list_service_permissions_details(
            sdk.ListServicePermissionsDetailsRequest(vpc_endpoint_service_id=service_id, **query)
        )

    def connections(self, service_id, **query):
        return self.client.list_service_connections(
            sdk.ListServiceConnectionsRequest(vpc_endpoint_service_id=service_id, **query)
        )

    def decide(self, id, action, endpoints):
        """Accepts (`receive`) or rejects connections."""
        body = sdk.AcceptOrRejectEndpointRequestBody(action=action, endpoints=endpoints)
        return self.client.accept_or_reject_endpoint(
            sdk.AcceptOrRejectEndpointRequest(vpc_endpoint_service_id=id, body=body)
        )

    def create_endpoint(self, service_id, **changes):
        fields = {
            "endpoint_service_id": service_id,
            "vpc_id": self.network.vpc_id,
            "subnet_id": self.network.subnet_id,
        }
        body = sdk.CreateEndpointRequestBody(**(fields | changes))
        return self.client.create_endpoint(sdk.CreateEndpointRequest(body=body))

    def connect(self, service_id, status, **changes):
        """A new endpoint, once it has this status."""
        endpoint = self.create_endpoint(service_id, **changes)
        return self.await_status(endpoint.id, status)

    def show_endpoint(self, id):
        return self.client.list_endpoint_info_details(
            sdk.ListEndpointInfoDetailsRequest(vpc_endpoint_id=id)
        )

    def await_status(self, id, status):
        return until(lambda: self.show_endpoint(id), lambda seen: seen.status == status)

    def update_whitelist(self, id, **fields):
        body = sdk.UpdateEndpointWhiteRequestBody(**fields)
        return self.client.update_endpoint_white(
            sdk.UpdateEndpointWhiteRequest(vpc_endpoint_id=id, body=body)
        )

    def delete_endpoint(self, id):
        return self.client.delete_endpoint(sdk.DeleteEndpointRequest(vpc_endpoint_id=id))

    def tag(self, kind, id, action, tags):
        body = sdk.BatchAddOrRemoveResourceInstanceRequestBody(
            tags=[sdk.ResourceTag(key=key, value=value) for key, value in tags.items()], action=action
        )
        return self.client.batch_add_or_remove_resource_instance(
            sdk.BatchAddOrRemoveResourceInstanceRequest(
                resource_type=kind, resource_id=id, body=body
            )
        )

    def search(self, kind, **body):
        return self.client.list_resource_instances(
            sdk.ListResourceInstancesRequest(
                resource_type=kind, body=sdk.QueryResourceInstanceTagsBody(**body)
            )
        )

    def services(self, **query):
        return self.client.list_endpoint_service(sdk.ListEndpointServiceRequest(**query))

    def endpoints(self, **query):
        return self.client.list_endpoints(sdk.ListEndpointsRequest(**query))

    def domain(self):
        """What others write on their whitelists."""
        return f"iam:domain::{self.account.domain_id}"
