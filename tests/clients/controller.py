"""The vpcepd under test, as its operator and its accounts reach it by hand.

What the clients under test have no calls for is done here: accounts, quotas,
and the resources that their clouds keep in other products (VPCs, subnets,
backends). Nothing here is under test.
"""

import http.client
import json
import os
import secrets
import socket
from dataclasses import dataclass


class Refused(Exception):
    """An answer other than 2xx."""

    def __init__(self, call: str, status: int, body: str):
        super().__init__(f"{call}: {status} {body}")
        self.status = status


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Controller:
    """Where the vpcepd of this run is."""

    url: str
    socket: str
    region: str
    directory: str
    extra: dict

    @classmethod
    def of_this_run(cls) -> "Controller":
        with open(os.environ["VPCEP_STAGE"], encoding="utf-8") as stage:
            return cls(**json.load(stage))

    def operate(self, method: str, path: str, body=None):
        """Asks on the operator's socket; answers the JSON, None without one."""
        connection = _SocketConnection(self.socket)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Refused(f"{method} {path}", response.status, answer)
        return json.loads(answer) if answer else None

    def account(self, name: str) -> "Account":
        """A new account; its name is made unique."""
        name = f"{name}-{secrets.token_hex(4)}"
        password = secrets.token_urlsafe(16)
        made = self.operate("POST", "/operator/v1/accounts", {"name": name, "password": password})
        return Account(
            controller=self,
            name=name,
            password=password,
            domain_id=made["domain_id"],
            project_id=made["project_id"],
            access_key=made["access_key"],
            secret_key=made["secret_key"],
            token=made["token"],
        )


@dataclass(frozen=True)
class Account:
    """An account, its first user, and the project that is its own."""

    controller: Controller
    name: str
    password: str
    domain_id: str
    project_id: str
    access_key: str
    secret_key: str
    token: str

    def operate(self, method: str, path: str, body=None):
        """Asks, as the operator, below this account's project."""
        return self.controller.operate(method, f"/v1/{self.project_id}/{path}", body)

    def network(self, cidr: str) -> "Network":
        """A new VPC with one subnet that fills it."""
        vpc = {"name": f"vpc-{secrets.token_hex(4)}", "cidr": cidr}
        vpc_id = self.operate("POST", "vpcs", {"vpc": vpc})["vpc"]["id"]
        first_host = cidr.rsplit(".", 1)[0] + ".1"
        subnet = {"name": vpc["name"], "cidr": cidr, "vpc_id": vpc_id, "gateway_ip": first_host}
        subnet_id = self.operate("POST", "subnets", {"subnet": subnet})["subnet"]["id"]
        return Network(self, vpc_id, subnet_id)

    def set_quota(self, kind: str, limit: int):
        body = {"project_id": self.project_id, "quotas": {kind: limit}}
        self.controller.operate("PUT", "/operator/v1/quotas", body)


@dataclass(frozen=True)
class Network:
    """A VPC and its subnet."""

    account: Account
    vpc_id: str
    subnet_id: str

    def backend(self, address: str, kind: str = "VM") -> str:
        """A new backend here; answers its `port_id`."""
        backend = {
            "name": f"backend-{secrets.token_hex(4)}",
            "vpc_id": self.vpc_id,
            "type": kind,
            "address": address,
        }
        return self.account.operate("POST", "backends", {"backend": backend})["backend"]["port_id"]
