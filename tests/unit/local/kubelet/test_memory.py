"""How often the node looks at a pod's memory."""

from splitjob_kubelet.runtime.memory import seconds_to_next_poll


def test_less_room_is_watched_more_closely() -> None:
    gib = 1024**3
    assert seconds_to_next_poll(0, 100 * gib) == 1
    assert seconds_to_next_poll(gib, 2 * gib) == 0.5
    assert seconds_to_next_poll(gib, gib + 1) == 0.1
