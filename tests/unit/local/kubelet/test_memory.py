"""How often the node looks at a pod's memory."""

from splitjob_kubelet.runtime.memory import seconds_to_next_look


def test_less_room_is_watched_more_closely() -> None:
    gib = 1024**3
    assert seconds_to_next_look(0, 100 * gib) == 1
    assert seconds_to_next_look(gib, 2 * gib) == 0.5
    assert seconds_to_next_look(gib, gib + 1) == 0.1
