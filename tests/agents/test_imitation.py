"""Imitation: the same learner for text and for boards; runs that begin with what another one learned."""

import numpy as np
import pytest

import envs
import move37
from agents.imitation import Imitation
from agents.options import OptionError
from move37.errors import UserError
from rollouts.reward import Reward
from rollouts.sampler import Sampler

LANGUAGE = {
    "path": "llm_rl.policy:LanguagePolicy",
    "options": {"model": {"size": "XS", "context": 64}, "max_new": 16},
}
SOLVER = {"path": "llm_rl.solver:Solver", "options": {"strategies": {"direct": 1.0}}}
PERFECT = {"path": "search.perfect.agent:Perfect", "options": {}}


def learner_of(id, n=16, make=None, **options):
    env = envs.make(id, n, **(make or {}))
    return Imitation(env.single_observation_space, env.single_action_space, **options), Sampler(env, seed=2)


def learn(learner, sampler, times):
    told = []
    for _ in range(times):
        rollout = sampler.collect(learner.actor, **learner.wants)
        Reward({"env": 1.0})(rollout)
        told.append(learner.learn(rollout))
    return told


def test_a_language_model_learns_what_the_solver_says():
    options = {"episodes": 64, "batch_size": 32, "lr": 3e-3, "warmup": 0, "epochs": 2}
    learner, sampler = learner_of(
        "text/Parity-v0", make={"level": 1}, student=LANGUAGE, expert=SOLVER, **options
    )
    losses = [metrics["loss"] for metrics in learn(learner, sampler, 8)]
    assert losses[0] > 2
    assert losses[-1] < 0.3  # all but the answer's one bit


@pytest.mark.parametrize(
    "student",
    [
        {"path": "agents.ppo:PPO", "options": {}},
        {"path": "search.alphazero:AlphaZero", "options": {"network": {"kind": "mlp", "hidden": [64]}}},
    ],
    ids=["ppo", "alphazero"],
)
def test_a_network_learns_the_perfect_players_moves(student):
    learner, sampler = learner_of(
        "board/TicTacToe-v0",
        64,
        student=student,
        expert=PERFECT,
        n_steps=9,
        lr=1e-2,
        warmup=0,
        batch_size=128,
    )
    losses = [metrics["loss"] for metrics in learn(learner, sampler, 25)]
    assert losses[-1] < 0.75 * losses[0]  # the expert draws among its best moves


def test_a_student_that_is_its_own_expert_learns_from_its_successes():
    learner, sampler = learner_of(
        "CartPole-v1", student={"path": "agents.ppo:PPO", "options": {}}, keep="success", episodes=8
    )
    rollout = sampler.collect(learner.actor, **learner.wants)
    assert learner.policy is learner.actor
    won = np.arange(len(rollout.ended["episode"])) % 2 == 0
    rollout.ended["return"][:] = won
    metrics = learner.learn(rollout)
    assert metrics["examples"] == rollout.ended["length"][won].sum()


def test_it_goes_on_from_what_it_saved():
    options = {"student": LANGUAGE, "expert": SOLVER, "episodes": 32, "batch_size": 16}
    learner, sampler = learner_of("text/Reversal-v0", **options)
    learn(learner, sampler, 2)
    twin, _ = learner_of("text/Reversal-v0", **options)
    twin.load_state_dict(learner.state_dict())
    rollout = sampler.collect(learner.actor, **learner.wants)
    assert twin.learn(rollout) == learner.learn(rollout)


def sft_config(**changes):
    return {
        "env": {"id": "text/Reversal-v0", "n": 8, "level": 1, "split": "train"},
        "agent": {
            "kind": "imitation",
            "student": {"kind": "language", "model": {"size": "XS", "context": 64}, "max_new": 16},
            "expert": {"kind": "solver", "strategies": {"direct": 1.0}},
            "episodes": 16,
        },
        "budget": {"env_steps": 32},
        "evaluate": {"every": 32, "episodes": 8, "explore": True, "env": {"split": "test"}},
        "threads": 1,
        **changes,
    }


def test_a_run_begins_with_what_another_one_learned(tmp_path):
    taught = move37.train(sft_config(), out=tmp_path / "sft")
    assert taught.metrics()[-1]["eval/success"] >= 0
    agent = {"kind": "grpo", "model": {"size": "XS", "context": 64}, "max_new": 16, "lr": 0.0}
    agent |= {"problems": 2, "group_size": 2}
    config = sft_config(agent=agent, init=str(taught.path), budget={"env_steps": 4})
    learned = move37.train(config, out=tmp_path / "grpo")
    ours, theirs = learned.agent.weights(), taught.agent.weights()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    with pytest.raises(UserError, match=r"init: .*another architecture"):
        move37.train(config, ["agent.model.size=S"], out=tmp_path / "wrong")
    with pytest.raises(UserError, match=r"init: .*nowhere"):
        move37.train(config, [f"init={tmp_path}/nowhere"], out=tmp_path / "wrong")


def test_an_expert_may_be_what_a_run_learned(tmp_path):
    teacher = move37.train(sft_config(), out=tmp_path / "teacher")
    config = sft_config()
    config["agent"] |= {"expert": {"run": str(teacher.path), "temperature": 0.5}, "lr": 0.0}
    run = move37.train(config, out=tmp_path / "run")
    from move37.build import build
    from move37.origin import Origin

    expert = build(run.config, Origin("config")).learner.actor
    assert expert.sampling.temperature == 0.5
    taught, begun = teacher.agent.weights(), run.agent.weights()
    for name, array in taught.items():
        np.testing.assert_array_equal(array, expert.weights()[name])
    assert any(not np.array_equal(array, begun[name]) for name, array in taught.items())
    with pytest.raises(UserError, match=r"agent\.expert\.run: .*no run folder"):
        move37.train(config, [f"agent.expert.run={tmp_path}"], out=tmp_path / "wrong")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "agent.student.kind=langage",
            "agent.student.kind: unknown agent 'langage'; did you mean 'language'",
        ),
        ("agent.student.max_neu=3", "agent.student.max_neu: student has no option 'max_neu'"),
        ("agent.expert={strategies: {direct: 1}}", "agent.expert: expert needs a kind"),
        ("evaluate.env.splitt=test", "evaluate.env.splitt: environment"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(tmp_path, override, said):
    with pytest.raises(UserError) as error:
        move37.train(sft_config(), [override], out=tmp_path / "run")
    assert said in str(error.value)
    assert f"override '{override}'" in str(error.value)


def test_episodes_or_steps():
    with pytest.raises(OptionError, match="either episodes"):
        learner_of("text/Parity-v0", student=LANGUAGE, expert=SOLVER)
