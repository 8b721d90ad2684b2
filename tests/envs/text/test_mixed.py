"""What a curriculum chooses among."""

import pytest

import envs
from envs.options import OptionError
from envs.text.mixed import choices
from tests.envs.text.toy_tasks import Double

DOUBLE = f"{Double.__module__}:{Double.__qualname__}"


@pytest.mark.parametrize(
    ("id", "options", "labels"),
    [
        (
            "text/Mixed-v0",
            {"families": {"Addition": [1, 3], DOUBLE: 2}},
            ["Addition-1", "Addition-3", f"{DOUBLE}-2"],
        ),
        ("text/Sorting-v0", {"level": [2, 1]}, ["Sorting-2", "Sorting-1"]),
    ],
)
def test_every_choice_is_options_of_an_episode(id, options, labels):
    found = choices(id, envs.make(id, 1, **options).parts)
    env = envs.make(id, len(found), **options, seed=0)
    env.reset(options={"slots": found})
    assert [episode.entry.label for episode in env._episodes] == labels
    env.close()


def test_where_there_is_nothing_to_choose_it_is_said():
    with pytest.raises(OptionError, match="text/Sorting-v0 has no several levels or families"):
        choices("text/Sorting-v0", envs.make("text/Sorting-v0", 1, level=2).parts)
