"""From the Huawei SDK through the API to the kernel: what the client is told is
true of packets. curl and nginx are at the ends, in namespaces of their own."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from huaweicloudsdkvpcep import v1 as sdk

from huawei.tenant import Tenant
from polling import until

#: The most that may pass between the provider's word and the end of traffic.
AT_ONCE_SECS = 2


class Host:
    """A host of the stage."""

    def __init__(self, netns, interface, cidr, gateway, address):
        self.netns, self.interface, self.address = netns, interface, address
        self.cidr, self.gateway = cidr, gateway

    def attach(self, account, mode):
        """Gives the account a VPC with this host in it."""
        network = account.network(self.cidr)
        attachment = {
            "vpc_id": network.vpc_id,
            "interface": self.interface,
            "address": self.gateway,
            "mode": mode,
        }
        path = "/operator/v1/attachments"
        made = account.controller.operate("POST", path, attachment)
        until(
            lambda: account.controller.operate("GET", f"{path}/{made['id']}"),
            lambda seen: seen["status"] == "active",
        )
        return network

    def _curl(self, *arguments):
        quiet = ["curl", "--silent", "--show-error", "--noproxy", "*"]
        return ["ip", "netns", "exec", self.netns, *quiet, *arguments]

    def fetch(self, url):
        """Exit code of curl, and the body."""
        ran = subprocess.run(
            self._curl("--max-time", "3", url), capture_output=True, text=True, check=False
        )
        return ran.returncode, ran.stdout

    @contextmanager
    def download(self, url, file):
        """A curl that runs, and has received something."""
        arguments = ["--speed-limit", "1", "--speed-time", "1", "--output", str(file), url]
        with subprocess.Popen(self._curl(*arguments), stderr=subprocess.DEVNULL) as running:
            try:
                until(lambda: file.exists() and file.stat().st_size, lambda size: size > 1 << 20)
                yield running
            finally:
                running.kill()


@pytest.fixture(scope="module")
def stage(controller):
    extra = controller.extra
    return extra["mode"], Host(**extra["servers"]), Host(**extra["clients"])


def test_accepted_and_rejected(controller, provider, consumer, stage):
    mode, servers, clients = stage
    served = servers.attach(provider, mode)
    seller = Tenant(provider, served, served.backend(servers.address))
    reached = clients.attach(consumer, mode)
    buyer = Tenant(consumer, reached, None)

    service = seller.create_service(service_name="web")
    until(lambda: seller.show_service(service.id), lambda seen: seen.status == "available")
    seller.permit(service.id, [buyer.domain()])
    endpoint = buyer.create_endpoint(service.id, port_ip="10.0.0.100")
    code, _ = clients.fetch("http://10.0.0.100/")
    assert code != 0, "traffic flows before the accept"

    seller.decide(service.id, "receive", [endpoint.id])
    address = buyer.await_status(endpoint.id, "accepted").ip
    assert clients.fetch(f"http://{address}/") == (0, f"web at {servers.address}\n")

    file = Path(controller.directory) / "download"
    with clients.download(f"http://{address}/slow/file", file) as download:
        seller.decide(service.id, "reject", [endpoint.id])
        rejected = time.monotonic()
        assert download.wait(timeout=AT_ONCE_SECS) != 0, "the download ended well"
        print(f"cut {time.monotonic() - rejected:.3f} s after the answer")
    code, _ = clients.fetch(f"http://{address}/")
    assert code == 7, f"expected a refused connection, curl said {code}"

    # The list of clients that the endpoint's owner keeps is the kernel's too.
    seller.decide(service.id, "receive", [endpoint.id])
    buyer.await_status(endpoint.id, "accepted")
    buyer.update_whitelist(endpoint.id, whitelist=["10.0.0.5"], enable_whitelist=True)
    assert clients.fetch(f"http://{address}/")[0] == 7
    buyer.update_whitelist(endpoint.id, whitelist=[clients.address], enable_whitelist=True)
    assert clients.fetch(f"http://{address}/")[0] == 0

    seller.update_service(service.id, ports=[sdk.PortList(81, 8080, "TCP")])
    assert clients.fetch(f"http://{address}:81/")[0] == 0
    assert clients.fetch(f"http://{address}/")[0] == 7

    buyer.delete_endpoint(endpoint.id)
    assert clients.fetch(f"http://{address}:81/")[0] != 0
