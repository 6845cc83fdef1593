"""Schemathesis hook: ids of objects that are there, in place of made-up ones (`generated.py`)."""

import json
import os
import re

import schemathesis

IDS = json.loads(os.environ["KNOWN_IDS"])
UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FIELDS = {
    "vpc_id": "vpc",
    "subnet_id": "subnet",
    "network_id": "subnet",
    "routetables": "table",
    "port_id": "backend",
    "endpoint_service_id": "service",
    "endpoint_id": "endpoint",
    "endpoints": "endpoint",
}


def known(value, field=None):
    if isinstance(value, dict):
        return {name: known(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [known(inner, field) for inner in value]
    # What was made to be refused stays as it is.
    if field in FIELDS and isinstance(value, str) and UUID.fullmatch(value):
        return IDS[FIELDS[field]]
    return value


@schemathesis.hook
def map_body(context, body):
    return known(body)


@schemathesis.hook
def map_query(context, query):
    return known(query)
