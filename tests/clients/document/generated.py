"""Generated requests against what /openapi.json says: `generated.py URL SOCKET [EXAMPLES]`.

Schemathesis makes requests from the document, right and wrong ones, and looks
whether the answers are in it: no 5xx, no status, header, body or method it does
not name, nothing accepted that it forbids. Once as an account over TCP, once as
the operator over the socket. `known_ids.py` puts ids of objects that are there
into the requests, so that they come further than "not found".

Not checked: that whatever the document allows is accepted. It cannot say which
objects exist, nor that a prefix has host bits. Nor the stream of events, which has no end.
"""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import uuid

HERE = pathlib.Path(__file__).parent
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
]


class Operator(http.client.HTTPConnection):
    """The operator: HTTP over vpcepd's socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def make(self, path, body):
        self.request("POST", path, json.dumps(body))
        answer = self.getresponse()
        made = json.load(answer)
        if answer.status != 200:
            raise SystemExit(f"POST {path}: {answer.status} {made}")
        return made


def world(operator):
    """Makes one object of each kind, and some more to delete; answers the account's token and the ids."""
    account = operator.make("/operator/v1/accounts", {"name": f"generated-{uuid.uuid4().hex[:8]}"})
    spare = operator.make("/operator/v1/accounts", {"name": f"spare-{uuid.uuid4().hex[:8]}"})
    tenant = f"/v1/{account['project_id']}"
    vpc = operator.make(f"{tenant}/vpcs", {"vpc": {"name": "v", "cidr": "10.0.0.0/16"}})["vpc"]
    new_subnet = {"name": "s", "cidr": "10.0.0.0/20", "vpc_id": vpc["id"]}
    subnet = operator.make(f"{tenant}/subnets", {"subnet": new_subnet})["subnet"]
    new_backend = {"name": "b", "vpc_id": vpc["id"], "type": "VM", "address": "10.0.255.1"}
    backend = operator.make(f"{tenant}/backends", {"backend": new_backend})["backend"]
    new_port = {"port": {"network_id": subnet["id"], "name": "p"}}
    port = operator.make(f"{tenant}/ports", new_port)["port"]
    new_table = {"routetable": {"name": "r", "vpc_id": vpc["id"]}}
    table = operator.make(f"{tenant}/routetables", new_table)["routetable"]
    new_service = {
        "vpc_id": vpc["id"],
        "port_id": backend["id"],
        "server_type": "VM",
        "ports": [{"client_port": 80, "server_port": 65535}],
    }
    service = operator.make(f"{tenant}/vpc-endpoint-services", new_service)
    new_endpoint = {"endpoint_service_id": service["id"], "vpc_id": vpc["id"], "subnet_id": subnet["id"]}
    endpoint, doomed = (operator.make(f"{tenant}/vpc-endpoints", new_endpoint) for _ in range(2))
    permissions = {"permissions": [{"permission": "*"}]}
    path = f"{tenant}/vpc-endpoint-services/{service['id']}/permissions/batch-create"
    permission = operator.make(path, permissions)["permissions"][0]
    new_attachment = {"vpc_id": vpc["id"], "interface": f"v{uuid.uuid4().hex[:8]}", "address": "10.0.254.1/24"}
    attachment = operator.make("/operator/v1/attachments", new_attachment)
    return account["token"], {
        "account": account["domain_id"],
        "spare": spare["domain_id"],
        "vpc": vpc["id"],
        "subnet": subnet["id"],
        "backend": backend["id"],
        "port": port["id"],
        "table": table["id"],
        "service": service["id"],
        "endpoint": endpoint["id"],
        "doomed": doomed["id"],
        "permission": permission["id"],
        "attachment": attachment["id"],
    }


def settings(ids):
    """What Schemathesis is told of the parameters of paths."""
    named = {
        "vpcs": "vpc",
        "subnets": "subnet",
        "backends": "backend",
        "ports": "port",
        "routetables": "table",
        "vpc-endpoint-services": "service",
        "vpc-endpoints": "endpoint",
        "operator/v1/endpoints": "endpoint",
        "operator/v1/accounts": "account",
        "operator/v1/attachments": "attachment",
    }
    lines = ["[parameters]", '"path.project_id" = "-"', f'"path.permission_id" = "{ids["permission"]}"']
    for path, kind in named.items():
        for method, name in (("GET|PUT|POST", kind), ("DELETE", doomed(kind))):
            lines += [
                "[[operations]]",
                f'include-path-regex = "{path}/[{{]id[}}]"',
                f"include-method-regex = '^({method})$'",
                f'parameters = {{ "path.id" = "{ids[name]}" }}',
            ]
    return "\n".join(lines)


def doomed(kind):
    """Which object of a kind may be deleted while others are still asked for."""
    return {"endpoint": "doomed", "account": "spare"}.get(kind, kind)


@contextlib.contextmanager
def on_loopback(path):
    """vpcepd's socket on a port of loopback, for a client that knows no other."""

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.socket(socket.AF_UNIX) as inside:
                inside.connect(path)
                back = threading.Thread(target=pump, args=(inside, self.request))
                back.start()
                pump(self.request, inside)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def run(url, ids, examples, *options):
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory, "schemathesis.toml")
        config.write_text(settings(ids))
        program = pathlib.Path(sys.executable).with_name("schemathesis")
        command = [program, "--config-file", config, "run", f"{url}/openapi.json"]
        command += ["--exclude-path", "/v1/{project_id}/events"]
        command += ["--phases", "coverage,fuzzing", "--max-examples", examples, "--seed", "1"]
        command += ["--checks", ",".join(CHECKS), "--warnings", "off", "--continue-on-failure", *options]
        known = {"SCHEMATHESIS_HOOKS": "known_ids", "PYTHONPATH": str(HERE), "KNOWN_IDS": json.dumps(ids)}
        environment = os.environ | known | {"PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(list(map(str, command)), cwd=directory, env=environment).returncode


def main(url, path, examples="25"):
    token, ids = world(Operator(path))
    tenant = ("--header", f"X-Auth-Token: {token}", "--exclude-path-regex", "^/operator")
    failed = run(url, ids, examples, *tenant)
    with on_loopback(path) as inside:
        failed |= run(inside, ids, examples)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
