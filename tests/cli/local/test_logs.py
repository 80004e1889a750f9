from cli.local.commands import logged_times


def line(at: str, message: str) -> str:
    return f'{{"level":"INFO","message":"{message}","timestamp":"2026-11-29 {at}+0000"}}'


def test_log_lines_have_the_timestamps_in_their_json() -> None:
    """The emulator writes them all at the end of an invocation, with that time."""
    end = 1_795_987_000_000
    began, ran = line("21:00:00,100", "opened"), line("21:00:20,250", "pass ended")
    messages = [
        "START RequestId: a",
        began,
        ran,
        "no JSON",
        "{}",
        "[]",
        '"text"',
        "END RequestId: a",
    ]

    times = [at_ms for at_ms, _ in logged_times([(end, message) for message in messages])]

    assert [
        message for _, message in logged_times([(end, message) for message in messages])
    ] == messages
    assert times[0] == times[1]
    assert times[2] - times[1] == 20_150
    assert times[3:] == [end] * 5


def test_a_start_line_without_a_next_line_keeps_its_time() -> None:
    assert list(logged_times([(7, "START RequestId: a")])) == [(7, "START RequestId: a")]
    assert list(logged_times([])) == []
