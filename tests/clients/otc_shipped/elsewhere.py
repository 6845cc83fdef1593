"""Load balancers and networks as the shipped tests ask for them, made of the
backends, VPCs and subnets of vpcepd.

Only the calls that those tests make are here. In their cloud a router is a VPC
and a network is a subnet of it, and so they are here, but for one thing: they
make the network before its range is known, and the router last. So both are
made with the network, of the one range that those tests use.
"""

from types import SimpleNamespace

RANGE = "192.168.0.0/16"


class LoadBalancers:
    """`conn.vlb`: a load balancer is a backend of that type."""

    def __init__(self, account):
        self._account = account

    def availability_zones(self):
        return []

    def create_load_balancer(self, name, vpc_id, **_):
        fields = {"name": name, "vpc_id": vpc_id, "type": "LB", "address": "10.0.0.10"}
        made = self._account.operate("POST", "backends", {"backend": fields})["backend"]
        return self.get_load_balancer(made["id"])

    def get_load_balancer(self, id):
        seen = self._account.operate("GET", f"backends/{id}")["backend"]
        return SimpleNamespace(id=id, port_id=seen["port_id"], vpc_id=seen["vpc_id"])

    def wait_for_load_balancer(self, id, **_):
        return self.get_load_balancer(id)

    def delete_load_balancer(self, id):
        self._account.operate("DELETE", f"backends/{id}")

    def wait_for_delete_load_balancer(self, id, **_):
        """It is gone when its deletion is answered."""


class Networks:
    """`conn.network`: the part of Neutron that makes one network with a router."""

    #: By id of the network, for all connections: each test opens its own.
    _made = {}

    def __init__(self, account):
        self._account = account

    def create_network(self, name):
        made = self._account.network(RANGE)
        self._made[made.subnet_id] = made
        return SimpleNamespace(id=made.subnet_id, name=name)

    def create_subnet(self, name, ip_version, network_id, cidr):
        assert (ip_version, cidr) == (4, RANGE)
        return SimpleNamespace(id=self._made[network_id].subnet_id, name=name)

    def create_router(self, name):
        latest = next(reversed(self._made.values()))
        return Router(latest.vpc_id, name)

    def get_router(self, id):
        return Router(id, None)

    def create_port(self, name, network_id):
        port = {"name": name, "network_id": network_id}
        made = self._account.operate("POST", "ports", {"port": port})["port"]
        return SimpleNamespace(id=made["id"], name=made["name"])

    def delete_port(self, id, ignore_missing):
        self._account.operate("DELETE", f"ports/{id}")

    def delete_router(self, id, ignore_missing):
        """It goes with its network."""

    def delete_subnet(self, id, ignore_missing):
        """It goes with its network."""

    def delete_network(self, id, ignore_missing):
        made = self._made.pop(id)
        self._account.operate("DELETE", f"subnets/{made.subnet_id}")
        self._account.operate("DELETE", f"vpcs/{made.vpc_id}")


class Router(SimpleNamespace):
    """A VPC, which has its subnet from the beginning to the end."""

    def __init__(self, id, name):
        super().__init__(id=id, name=name)

    def add_interface(self, _, subnet_id):
        return {"subnet_id": subnet_id, "port_id": None}

    def remove_interface(self, _, subnet_id):
        return {"subnet_id": subnet_id, "port_id": None}
