import pytest

from agent.build.byte_limit import LimitWrongError, byte_limit


def test_a_limit_is_what_the_environment_says_or_the_usual_one() -> None:
    assert byte_limit({"MOST": "100000"}, "MOST", 7) == 100_000
    assert byte_limit({"MOST": ""}, "MOST", 7) == byte_limit({}, "MOST", 7) == 7


@pytest.mark.parametrize("said", ["4G", "-1", "1.5", "٤"])
def test_a_limit_that_is_no_number_of_bytes_is_refused_with_its_variable(said: str) -> None:
    with pytest.raises(LimitWrongError, match="MOST") as refused:
        byte_limit({"MOST": said}, "MOST", 7)
    assert "whole number of bytes" in refused.value.failure.remedy
