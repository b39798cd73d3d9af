"""The gRPC contract as Python modules, made from the .proto files alone."""

import importlib
import subprocess
import sys

PACKAGE = "long_running_integration/v1/"
FILES = [PACKAGE + name for name in ("incident", "instance", "long_running_integration")]


def generate(folder):
    """Runs protoc as a user of the contract would; returns the modules by name."""
    subprocess.run(
        ["protoc", "-Iproto", f"--python_out={folder}", f"--grpc_out={folder}"]
        + ["--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"]
        + [file + ".proto" for file in FILES],
        check=True,
    )
    sys.path.insert(0, folder)
    modules = {}
    for file in FILES:
        name = file.rsplit("/", 1)[1]
        base = file.replace("/", ".")
        modules[name] = importlib.import_module(base + "_pb2")
        modules[name + "_grpc"] = importlib.import_module(base + "_pb2_grpc")
    return modules
