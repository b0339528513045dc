"""What schemathesis must be told about our descriptions."""

import itertools
import json
import os

import schemathesis

# Ids of things that exist, by the name of their path parameter: made-up ones would only ever meet 404.
IDS = {name: itertools.cycle(ids) for name, ids in json.loads(os.environ.get("OPENAPI_IDS", "{}")).items()}
calls = itertools.count()


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """The schema of such a body is that of one line."""
    return json.dumps(value).encode() + b"\n"


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Every second request is about something that exists."""
    if path_parameters and next(calls) % 2:
        path_parameters |= {name: next(ids) for name, ids in IDS.items() if name in path_parameters}
    return path_parameters
