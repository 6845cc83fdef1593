"""The ways in, and what is turned away."""

from datetime import datetime, timedelta, timezone

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkvpcep import v1 as sdk

from huawei.tenant import client_of


def quotas(client):
    return client.list_quota_details(sdk.ListQuotaDetailsRequest()).quotas.resources


def refusal(client):
    with pytest.raises(ClientRequestException) as refused:
        quotas(client)
    assert refused.value.request_id, "every answer has an X-Request-Id"
    return refused.value.status_code, refused.value.error_code.lower()


def test_key_and_project(provider):
    assert len(quotas(client_of(provider))) == 2


def test_key_and_region(provider):
    """The project is asked for at the identity service."""
    credentials = BasicCredentials(provider.access_key, provider.secret_key)
    url = provider.controller.url
    credentials.with_iam_endpoint(url)
    client = (
        sdk.VpcepClient.new_builder()
        .with_credentials(credentials)
        .with_region(Region(provider.controller.region, url))
        .build()
    )
    assert len(quotas(client)) == 2
    assert credentials.project_id == provider.project_id


def test_token_instead_of_signature(provider):
    """A token decides, whatever the signature beside it is worth."""
    client = client_of(provider, BasicCredentials("nobody", "nothing", provider.project_id))
    client.preset_headers = {"X-Auth-Token": provider.token}
    assert len(quotas(client)) == 2
    client.preset_headers = {"X-Auth-Token": "wrong"}
    assert refusal(client) == (401, "endpoint.0003")


def test_wrong_token_is_not_made_good_by_a_right_signature(provider):
    client = client_of(provider)
    client.preset_headers = {"X-Auth-Token": "wrong"}
    assert refusal(client) == (401, "endpoint.0003")


def test_unknown_key(provider):
    credentials = BasicCredentials("nobody", provider.secret_key, provider.project_id)
    assert refusal(client_of(provider, credentials)) == (401, "endpoint.0003")


def test_wrong_secret(provider):
    credentials = BasicCredentials(provider.access_key, "wrong", provider.project_id)
    assert refusal(client_of(provider, credentials)) == (401, "endpoint.0003")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off(provider, minutes):
    client = client_of(provider)
    date = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    client.preset_headers = {"X-Sdk-Date": date.strftime("%Y%m%dT%H%M%SZ")}
    assert refusal(client) == (401, "endpoint.0003")


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_that_is_nearly_right(provider, minutes):
    client = client_of(provider)
    date = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    client.preset_headers = {"X-Sdk-Date": date.strftime("%Y%m%dT%H%M%SZ")}
    assert len(quotas(client)) == 2


def test_anothers_project(provider, consumer):
    credentials = BasicCredentials(
        provider.access_key, provider.secret_key, consumer.project_id
    )
    assert refusal(client_of(provider, credentials)) == (403, "endpoint.0004")


def test_odd_characters_are_signed_as_they_are_sent(provider):
    """In the query, where client and server must encode alike."""
    client = client_of(provider)
    for text in ["a b", "ä/ö?ü", "x=y&z", "100%", "a+b", "~tilde*", "'quote\""]:
        found = client.list_endpoint_service(
            sdk.ListEndpointServiceRequest(endpoint_service_name=text, limit=1, offset=0)
        )
        assert found.total_count == 0, text


def test_a_body_beyond_ascii_is_signed_too(provider):
    network = provider.network("10.9.0.0/24")
    body = sdk.CreateEndpointServiceRequestBody(
        port_id=network.backend("10.9.0.10"),
        vpc_id=network.vpc_id,
        server_type="VM",
        description="Größe 大小",
        ports=[sdk.PortList(client_port=80, server_port=80, protocol="TCP")],
    )
    made = client_of(provider).create_endpoint_service(sdk.CreateEndpointServiceRequest(body=body))
    assert made.description == "Größe 大小"
