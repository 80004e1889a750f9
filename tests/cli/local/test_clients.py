"""Clients of the emulator."""

from concurrent.futures import ThreadPoolExecutor

from cli.local import clients

ENDPOINT = "http://127.0.0.1:1"


def test_a_service_is_described_once_for_all_its_clients() -> None:
    one, other = (clients.client("dynamodb", ENDPOINT) for _ in range(2))

    assert one is not other
    assert one.meta.service_model.metadata is other.meta.service_model.metadata


def test_threads_may_make_clients_at_once() -> None:
    services = ("dynamodb", "s3", "sesv2") * 4

    with ThreadPoolExecutor(len(services)) as pool:
        made = list(pool.map(lambda service: clients.client(service, ENDPOINT), services))

    assert tuple(each.meta.service_model.service_name for each in made) == services
