"""The app is killed while simulated raters answer through HTTP; `python -m benchmarks.crashes` does it 200 times."""

from benchmarks.crashes import OVERLAP, crash


def test_an_app_killed_under_load_loses_and_doubles_nothing_acknowledged() -> None:
    found = crash(kills=3, raters=4)
    assert found["acknowledged"] > 0 and found["refused"] == []
    assert found["lost"] == found["doubled"] == 0
    assert found["most_ratings_of_a_pair"] <= OVERLAP
