"""What a storm will be is drawn from its seed alone."""

from chaos.plan import KINDS, plan_faults, plan_songs


def test_the_same_seed_gives_the_same_storm_and_another_one_another() -> None:
    first = plan_faults(7, 600, 4), plan_songs(7, 600, 3)
    assert first == (plan_faults(7, 600, 4), plan_songs(7, 600, 3))
    assert first != (plan_faults(8, 600, 4), plan_songs(8, 600, 3))


def test_an_hour_has_every_kind_of_fault_and_every_fate_of_a_song() -> None:
    faults, songs = plan_faults(1, 3600, 4), plan_songs(1, 3600, 3)
    assert {fault.name for fault in faults} == {kind.name for kind in KINDS}
    lasting = {kind.name: kind for kind in KINDS}
    assert all(lasting[one.name].least <= one.seconds <= lasting[one.name].most for one in faults)
    fates = {song.fate for song in songs}
    assert fates == {"left", "canceled", "suspended", "reprioritised", "deleted"}
    assert [song.number for song in songs] == list(range(1, len(songs) + 1))
    assert {song.uploads for song in songs} == {True, False}


def test_nothing_is_planned_for_after_the_storm() -> None:
    assert all(0 < fault.at < 60 for fault in plan_faults(3, 60, 4))
    assert all(0 < song.at < 60 for song in plan_songs(3, 60, 3))
