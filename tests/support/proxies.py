"""Real proxies in front of a host, and other programs that a test runs beside it."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from peers import free_ports

SECONDS_TO_LISTEN = 20


def start(test, program, *arguments):
    """A program of the system's that runs until the test, or the test class, ends."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        raise AssertionError(f"{program} is not installed: run tools/install-packages test")
    started = subprocess.Popen(
        [found, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    clean = test.addClassCleanup if isinstance(test, type) else test.addCleanup
    clean(started.wait)
    clean(started.terminate)


def await_port(address):
    end = time.monotonic() + SECONDS_TO_LISTEN
    while True:
        try:
            return socket.create_connection(address).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def open_proxies(test, upstream):
    """Name -> address of proxies that keep their connections to `upstream`, a (host, port) pair."""
    clean = test.addClassCleanup if isinstance(test, type) else test.addCleanup
    temporary = tempfile.TemporaryDirectory()
    clean(temporary.cleanup)
    at = temporary.name
    front = "%s:%d" % upstream
    ports = free_ports(3)
    user = "user root;" if os.geteuid() == 0 else ""
    server = """
        server { listen 127.0.0.1:%d; location / { proxy_pass http://front;
          proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering %s; } }
    """
    pathlib.Path(at, "nginx.conf").write_text(f"""
        daemon off; pid {at}/pid; error_log {at}/error; worker_processes 1; {user}
        events {{ }}
        http {{
          access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
          fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
          upstream front {{ server {front}; keepalive 4; }}
          {server % (ports[0], "off")} {server % (ports[1], "on")}
        }}""")
    pathlib.Path(at, "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  option http-keep-alive
  http-reuse always
frontend in
  bind 127.0.0.1:{ports[2]}
  default_backend out
backend out
  server front {front}
""")
    start(test, "nginx", "-p", at, "-c", f"{at}/nginx.conf")
    start(test, "haproxy", "-db", "-f", f"{at}/haproxy.cfg")
    proxies = {
        "nginx": ("127.0.0.1", ports[0]),
        "nginx with a buffer": ("127.0.0.1", ports[1]),
        "HAProxy": ("127.0.0.1", ports[2]),
    }
    for address in proxies.values():
        await_port(address)
    return proxies
