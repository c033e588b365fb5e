"""An S3 server over HTTP for tests: moto's, on a free port of loopback."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "something",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
"""What clients need beside the endpoint; the server takes any key."""


@contextmanager
def server() -> Iterator[int]:
    """Run the server in a thread of this process; yield its port. It keeps all in memory."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    port = int(running.get_host_and_port()[1])
    # What it holds belongs to the process, not to the server.
    urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/reset", data=b"", timeout=10).close()
    try:
        yield port
    finally:
        running.stop()


def client(port: int, service: str = "s3") -> "boto3.client":
    """Return a client for the server."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=SETTINGS["AWS_DEFAULT_REGION"],
        aws_access_key_id=SETTINGS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=SETTINGS["AWS_SECRET_ACCESS_KEY"],
    )
