"""Lines of metrics: means of what is measured, the newest of what is counted."""

import json
from types import SimpleNamespace

import numpy as np

from move37.tally import Tally

ROLLOUT = SimpleNamespace(decisions=8, ended={"return": np.zeros(0), "length": np.zeros(0)})


def test_counts_are_the_newest_and_the_rest_are_means():
    tally = Tally()
    for metrics in ({"loss": 1.0, "steps": 3}, {"loss": 3.0, "steps": 7}, {"steps": 9}):
        tally.add(ROLLOUT, metrics)
    line = tally.record()
    assert (line["loss"], line["steps"], line["env_steps"]) == (2.0, 9, 24)
    tally.add(ROLLOUT, {"loss": 5.0, "steps": 11})
    assert (tally.record()["loss"], "steps" in tally.record()) == (5.0, False)


def test_a_line_that_was_begun_is_finished_after_a_resume():
    tally, resumed = Tally(), Tally()
    tally.add(ROLLOUT, {"loss": 1.0, "steps": 3})
    resumed.set_state(json.loads(json.dumps(tally.get_state())))
    for one in (tally, resumed):
        one.add(ROLLOUT, {"loss": 2.0, "steps": 5})
    line = resumed.record()
    assert (line["loss"], line["steps"]) == (1.5, 5)
    np.testing.assert_equal(line, tally.record())
