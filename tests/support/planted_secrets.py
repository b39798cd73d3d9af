"""Secrets that are recognised wherever they appear, and in any encoding."""

import base64
import os
import subprocess


def forms(secret):
    """The secret's bytes, and what they look like in base64 (wherever it begins) and in hex."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for offset in range(3):
        # Only the characters that do not depend on what surrounds the secret.
        text = base64.b64encode(bytes(offset) + secret)
        inner = text[0 if offset == 0 else offset + 1 : len(text) // 4 * 4 - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class PlantedSecrets:
    """Makes secrets, and finds them again."""

    def __init__(self):
        self.needles = {}  # name -> set of bytes

    def plant(self, name):
        """A new secret: letters, digits and a dash, so that no quoting changes it."""
        secret = f"planted-{os.urandom(12).hex()}"
        self.add(name, secret.encode())
        return secret

    def add(self, name, secret):
        self.needles.setdefault(name, set()).update(forms(secret))

    def add_key(self, name, file):
        """A private key in PEM: its lines, and the number that they encode."""
        with open(file, "rb") as pem:
            lines = pem.read().split()
        for line in lines:
            if len(line) >= 40 and b"-----" not in line:
                self.needles.setdefault(name, set()).add(line)
        text = subprocess.run(
            ["openssl", "pkey", "-in", file, "-noout", "-text"], check=True, capture_output=True
        ).stdout.decode()
        number = text.split("priv:")[1].split("pub:")[0]
        self.add(name, bytes.fromhex("".join(number.split()).replace(":", "")).lstrip(b"\0"))

    def found_in(self, data):
        """The names of the secrets that these bytes contain."""
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        return sorted(
            name
            for name, needles in self.needles.items()
            if any(needle in data for needle in needles)
        )
