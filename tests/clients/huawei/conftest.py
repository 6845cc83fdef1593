"""A provider and a consumer with clients of the Huawei SDK and a network each."""

import pytest

from huawei.tenant import Tenant


@pytest.fixture(scope="module")
def seller(provider):
    """Offers services, more than usual. The networks of both have the same range."""
    provider.set_quota("endpoint_service", 200)
    network = provider.network("10.0.0.0/24")
    return Tenant(provider, network, network.backend("10.0.0.10"))


@pytest.fixture(scope="module")
def buyer(consumer):
    """Connects to them."""
    return Tenant(consumer, consumer.network("10.0.0.0/24"))
