"""One host with every way in: the front, a listen port, and a listen port over TLS."""

import collections
import os
import tempfile

from host_process import HostProcess, configuration
from peers import address_of, free_ports, make_certificate, trusting

# `path`: of an instance with those credentials. `tls`: a client's context, or None.
Door = collections.namedtuple("Door", "name address path tls")

FRONT_PATH = "/instance/execute/webhook"


def open_doors(test, parameters={}, **limits):
    """(host, its doors). It serves until the test, or the test class, ends."""
    clean = test.addClassCleanup if isinstance(test, type) else test.addCleanup
    temporary = tempfile.TemporaryDirectory()
    clean(temporary.cleanup)
    make_certificate(temporary.name)
    tls = trusting(temporary.name)
    ports = free_ports(3)
    common = {"bind_address": "127.0.0.1"} | parameters
    config = configuration("XSOAR_6", longRunningPort=str(ports[0]), **common)
    pem = {
        "certificate_file": os.path.join(temporary.name, "certificate.pem"),
        "key_file": os.path.join(temporary.name, "key.pem"),
    }
    config["instances"] += [
        {
            "name": "secure",
            "configuration": {"longRunningPort": str(ports[1])} | common | pem,
        },
        # Not open to the outside: nobody may reach it through the front.
        {"name": "inside", "configuration": {"longRunningPort": str(ports[2])} | common},
    ]
    config["limits"] = {"connections_from_one_address": 10_000} | limits
    host = HostProcess(config, "--store", "memory")
    clean(host.__exit__)
    host.start()
    return host, [
        Door("front", address_of(host.http), FRONT_PATH, None),
        Door("listen port", ("127.0.0.1", ports[0]), "/", None),
        Door("listen port with TLS", ("127.0.0.1", ports[1]), "/", tls),
    ]
