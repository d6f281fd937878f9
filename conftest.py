"""Tests and notebooks run as the stored outputs were made: on the CPU, without a network."""

import os
import socket

import pytest

from vit_course.authoring.execute import ENVIRONMENT

os.environ.update(ENVIRONMENT)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that reaches for anything but this machine fails at once, and says where it wanted to go."""
    connect = socket.socket.connect

    def loopback_only(self, address):
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to reach {address[0]}: tests use no network")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", loopback_only)
