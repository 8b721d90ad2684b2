"""The language agent: what its decisions carry, what it remembers, and what it can be taught by."""

import numpy as np
import pytest
import torch

import envs
from agents.options import OptionError
from envs.rng import from_seeds
from llm_rl.folder import save_folder
from llm_rl.policy import LanguagePolicy
from llm_rl.solver import Solver
from rollouts.build import build_agent
from rollouts.sampler import Sampler

MODEL = {"size": "XS", "context": 128}


def policy_for(id, seed=0, **options):
    env = envs.make(id, 4, level=1)
    spaces = env.single_observation_space, env.single_action_space
    return LanguagePolicy(*spaces, seed=seed, **{"model": MODEL, "max_new": 12, **options})


def collect(agent, id, episodes=8, group_size=4, **options):
    env = envs.make(id, 4, level=1)
    return Sampler(env, seed=3).collect(agent, episodes=episodes, group_size=group_size, **options)


def test_decisions_carry_what_was_read_and_then_what_was_written():
    policy = policy_for("text/Addition-v0")
    rollout = collect(policy, "text/Addition-v0")
    fields, tokenizer = rollout.fields, policy.tokenizer
    for time, slot in zip(*np.nonzero(rollout.valid)):
        count, mask = fields["token_count"][time, slot], fields["token_mask"][time, slot]
        tokens = fields["tokens"][time, slot][:count]
        written = mask[:count]
        assert not mask[count:].any()
        assert tokens[0] == tokenizer.bos
        assert tokenizer.decode(tokens[~written]) == rollout.obs[time, slot]
        assert tokenizer.decode(tokens[written]) == rollout.actions[time, slot]
        assert (np.diff(written.astype(int)) >= 0).all()  # first all that was read
        cut = fields["cut"][time, slot]
        assert cut == (tokens[-1] != tokenizer.eos)
        assert written.sum() == 12 if cut else written.sum() <= 12


def test_what_it_noted_is_what_its_network_says():
    policy = policy_for("text/Addition-v0", temperature=0.8, top_k=20)
    rollout = collect(policy, "text/Addition-v0")
    found = policy.sequences(rollout)
    with torch.no_grad():
        log_prob, entropy, hidden = policy.score(rollout, found)
    np.testing.assert_allclose(log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-4)
    assert (entropy > 0).all()
    assert hidden.shape == (len(log_prob), policy.width)


def test_the_likeliest_tokens_are_the_same_each_time():
    policy = policy_for("text/Addition-v0")
    said = [
        policy.act(("3+4=",) * 2, rng=from_seeds([s, s + 1]), first=np.ones(2, bool), explore=False).actions
        for s in (1, 5)
    ]
    assert len({*said[0], *said[1]}) == 1


def test_in_many_turns_it_goes_on_from_all_that_was_said():
    policy = policy_for("text/GuessNumber-v0", max_new=6)
    rollout = collect(policy, "text/GuessNumber-v0", episodes=4, group_size=1)
    found = policy.sequences(rollout)
    for number, episode in enumerate(found.episode):
        rows = np.argwhere(rollout.valid & (rollout.episode == episode))
        whole = [t for time, slot in rows for t in (rollout.obs[time, slot], rollout.actions[time, slot])]
        tokens = found.tokens[number, : found.lengths[number]]
        assert policy.tokenizer.decode(tokens) == "".join(whole)
        read = tokens[~found.mask[number, : found.lengths[number]]]
        assert (read == policy.tokenizer.bos).sum() == 1
    assert len(rollout.valid) > 1
    with torch.no_grad():  # what came before was in the context of what was written
        log_prob = policy.score(rollout, found).log_prob
    np.testing.assert_allclose(log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-4)


@pytest.mark.parametrize("explore", [True, False])
def test_a_dialogue_that_has_filled_the_context_gets_no_more_words(explore):
    policy = policy_for("text/GuessNumber-v0", max_new=6, model={"size": "XS", "context": 40})
    rollout = collect(policy, "text/GuessNumber-v0", episodes=8, group_size=1, explore=explore)
    count = np.where(rollout.valid, rollout.fields["token_count"], 0)
    silent = rollout.valid & (count == 0)
    assert silent.any()
    assert rollout.fields["cut"][silent].all()
    assert {rollout.actions[at] for at in zip(*np.nonzero(silent))} == {""}
    found = policy.sequences(rollout)
    assert found.lengths.max() <= 40
    assert found.truncated.all()
    with torch.no_grad():
        log_prob = policy.score(rollout, found).log_prob
    if explore:
        np.testing.assert_allclose(log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-4)


@pytest.mark.parametrize("id", ["text/Addition-v0", "text/GuessNumber-v0", "text/Calculator-v0"])
def test_what_an_expert_said_is_read_as_its_own(id):
    policy = policy_for(id)
    spaces = envs.make(id, 1, level=1)
    solver = Solver(spaces.single_observation_space, spaces.single_action_space)
    rollout = collect(solver, id, group_size=1)
    found = policy.sequences(rollout)
    ends = np.isin(found.tokens, policy.tokenizer.ends) & found.mask
    for number, episode in enumerate(found.episode):
        rows = np.argwhere(rollout.valid & (rollout.episode == episode))
        said = [rollout.actions[time, slot] for time, slot in rows]
        stopped = [any(text.endswith(stop) for stop in policy.sampling.stop) for text in said]
        assert policy.tokenizer.decode(found.tokens[number][found.mask[number]]) == "".join(said)
        assert ends[number].sum() == len(said) - sum(stopped)


def test_a_worker_builds_the_same_policy():
    policy = policy_for("text/Addition-v0", seed=7)
    env = envs.make("text/Addition-v0", 1, level=1)
    twin = build_agent(policy.spec(), env.single_observation_space, env.single_action_space)
    twin.load_weights(policy.weights())
    ask = {"rng": from_seeds([1, 2]), "first": np.ones(2, bool)}
    again = {"rng": from_seeds([1, 2]), "first": np.ones(2, bool)}
    assert policy.act(("1+2=", "3+3="), **ask).actions == twin.act(("1+2=", "3+3="), **again).actions


def test_what_does_not_fit_is_told():
    board = envs.make("board/Go-v0", 1)
    with pytest.raises(ValueError, match="reads and writes text"):
        LanguagePolicy(board.single_observation_space, board.single_action_space)
    env = envs.make("text/Addition-v0", 1)
    with pytest.raises(OptionError, match="model has no 'sise'"):
        LanguagePolicy(env.single_observation_space, env.single_action_space, model={"sise": "XS"})
    with pytest.raises(OptionError, match=r"top_k must be greater than or equal to 0, not -1") as told:
        policy_for("text/Addition-v0", top_k=-1)
    assert told.value.option == "top_k"
    with pytest.raises(OptionError, match=r"top_k must be a valid integer"):
        policy_for("text/Addition-v0", top_k=1.5)
    with pytest.raises(ValueError, match="no room"):
        policy_for("text/Addition-v0").act(("1" * 200,), rng=from_seeds([1]), first=np.ones(1, bool))


@pytest.mark.parametrize("most", [128, 1000])
def test_what_is_written_must_leave_room_for_a_prompt(most):
    with pytest.raises(
        OptionError, match=rf"max_new \({most}\) must be below .* context \(128 tokens\)"
    ) as told:
        policy_for("text/Addition-v0", max_new=most)
    assert told.value.option == "max_new"
    assert policy_for("text/Addition-v0", max_new=127).sampling.max_new == 127


def test_a_context_that_no_problem_fits_is_told_at_once():
    with pytest.raises(
        ValueError, match=r"problems of Sudoku have up to 90 tokens at level 1.* of 90 tokens"
    ):
        policy_for("text/Sudoku-v0", model={"size": "XS", "context": 90})
    policy_for("text/Sudoku-v0", model={"size": "XS", "context": 91})
    families = {"Addition": 1, "Sudoku": 1}
    env = envs.make("text/Mixed-v0", 1, families=families)
    spaces = env.single_observation_space, env.single_action_space
    with pytest.raises(ValueError, match="problems of Sudoku have"):
        LanguagePolicy(*spaces, model={"size": "XS", "context": 64}, max_new=12)


@pytest.mark.parametrize("more", [{"size": "S"}, {"context": 64}, {"size": "XS", "context": 512}])
def test_a_folder_has_its_own_size_and_context(more, tmp_path):
    made = policy_for("text/Addition-v0")
    save_folder(tmp_path / "m", made.network, made.tokenizer)
    folder = {"folder": str(tmp_path / "m")}
    name = min(more)
    with pytest.raises(OptionError, match=rf"model\.{name} is of a fresh model, and model\.folder") as told:
        policy_for("text/Addition-v0", model={**folder, **more})
    assert told.value.option == f"model.{name}"
    policy = policy_for("text/Addition-v0", model=folder)
    env = envs.make("text/Addition-v0", 1, level=1)
    twin = build_agent(policy.spec(), env.single_observation_space, env.single_action_space)
    assert twin.network.options == policy.network.options
    assert twin.network.options.context == 128
