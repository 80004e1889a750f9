"""The simulator of devices. `tests/jobtypes/devices` has what its devices do."""

import socket
from threading import Thread

from examples.devices.simulator import Simulator


def test_a_simulator_that_has_ended_answers_on_no_connection_that_a_client_kept() -> None:
    with Simulator() as simulator:
        thread = Thread(target=simulator.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        kept = socket.create_connection(simulator.server_address)
        kept.sendall(b"GET /ok-1/device HTTP/1.1\r\nHost: devices\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
        simulator.shutdown()
        thread.join()

    with kept, kept.makefile("rb") as answers:
        assert answers.read().count(b"HTTP/1.1") == 0
