"""The API against its own document, by requests that nobody would write."""

import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

#: What must hold of every answer.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]


def test_answers_are_as_documented(controller, provider):
    command = [SCHEMATHESIS, "run", f"{controller.url}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", "20", "--seed", "1"]
    command += ["--generation-database", "none", "--header", f"X-Auth-Token: {provider.token}"]
    ran = subprocess.run(command, cwd=controller.directory, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
