"""Language models on boards: each move is learned alone, no move loses, and they enter tournaments."""

import numpy as np
import pytest
import torch

import envs
import move37
from agents.networks import to_arrays
from agents.random import Random
from envs.base import FORFEIT
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import FIRST_WON, SECOND_WON
from envs.rng import from_seeds
from llm_rl.boards import alone, forfeits
from llm_rl.grpo import GRPO
from llm_rl.policy import LanguagePolicy
from move37.errors import UserError
from move37.tournament.play import run_tournament
from move37.yaml_text import dump_yaml
from rollouts.agent import Agent, Decision
from rollouts.build import build_agent
from rollouts.reward import Reward
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler
from search.arena import Fixtures, Openings, play_games
from search.perfect.agent import Perfect

ID = "board/TicTacToe-v0"
MODEL = {"size": "XS", "context": 64}


def board(n=8, id=ID, **options):
    env = envs.make(id, n, **options)
    return env, (env.single_observation_space, env.single_action_space)


def policy_of(spaces, **options):
    return LanguagePolicy(*spaces, **{"model": MODEL, "max_new": 6, **options})


class Scribe(Agent):
    """Plays the first legal move, and gives up where the first player's stones, a number, leave 2 mod 3."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        moves = obs["action_mask"].argmax(1)
        moves[obs["state"][:, 1] % 3 == 2] = FORFEIT
        return Decision(moves)


class Lucky(Agent):
    """Whatever `policy` says is taken for the last legal move."""

    def __init__(self, policy):
        self.policy = policy

    def act(self, obs, *, rng, first, memory=None, explore=True):
        said = self.policy.act(obs, rng=rng, first=first, memory=memory, explore=explore)
        return Decision(
            obs["action_mask"].shape[1] - 1 - obs["action_mask"][:, ::-1].argmax(1), None, said.fields
        )


# -- a decision alone --------------------------------------------------------------------------------------


def test_decisions_are_cut_out_of_their_episodes():
    rng, episodes = np.random.default_rng(0), []
    for _ in range(50):
        parts = []
        for _ in range(rng.integers(1, 5)):
            read, wrote = rng.integers(1, 4), rng.integers(1, 4)
            parts.append((rng.integers(1, 3, read).tolist(), rng.integers(5, 9, wrote).tolist()))
        episodes.append(parts)
    rows = [[token for read, wrote in parts for token in read + wrote] for parts in episodes]
    masks = [[k for read, wrote in parts for k in [0] * len(read) + [1] * len(wrote)] for parts in episodes]
    width = max(map(len, rows)) + 2
    tokens = np.array([row + [7] * (width - len(row)) for row in rows])  # what pads means nothing
    mask = np.array([row + [0] * (width - len(row)) for row in masks], bool)
    lengths = np.array([len(row) for row in rows])
    said, counts, wrote, group = alone(tokens, lengths, mask)
    wanted = [part for parts in episodes for part in parts]
    assert len(said) == len(wanted)
    for k, (read, written) in enumerate(wanted):
        assert said[k, : counts[k]].tolist() == read + written
        assert wrote[k].tolist() == [len(read) <= i < len(read + written) for i in range(said.shape[1])]
    prompts = [tuple(read) for read, _ in wanted]
    same = np.array([[a == b for b in prompts] for a in prompts])
    np.testing.assert_array_equal(group[:, None] == group, same)


def test_a_move_is_scored_as_it_was_drawn_whatever_was_said_before(tmp_path):
    env, spaces = board(6)
    policy = policy_of(spaces, temperature=1.5)
    rollout = Sampler(env, seed=1).collect(Lucky(policy), episodes=24, opponents=[Random(*spaces)])
    Reward({"env": 1.0})(rollout)
    assert rollout.ended["length"].min() > 1, "games of several moves"
    found = policy.sequences(rollout)
    assert len(found) == 24
    with torch.no_grad():
        scores = policy.score(rollout, found)
    np.testing.assert_allclose(scores.log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-4)
    for time, slot in np.argwhere(rollout.valid):
        obs = {name: array[time, slot][None] for name, array in rollout.obs.items()}
        tokens = rollout.fields["tokens"][time, slot][: rollout.fields["token_count"][time, slot]]
        mask = rollout.fields["token_mask"][time, slot][: len(tokens)]
        assert policy.tokenizer.decode(tokens[~mask]) == policy.wording.positions(obs)[0]
        _, why = policy.wording.read([policy.tokenizer.decode(tokens[mask])], obs["action_mask"])
        assert why[0] == rollout.fields["forfeit"][time, slot]
    assert not rollout.valid.all()
    rollout.save(tmp_path / "rollout")
    saved = Rollout.load(tmp_path / "rollout")
    np.testing.assert_array_equal(saved.fields["forfeit"], rollout.fields["forfeit"])
    assert {*rollout.fields["forfeit"][~rollout.valid]} == {""}


def test_imitation_learns_each_move_and_nothing_of_games_that_were_given_up():
    env, spaces = board(5)
    policy = policy_of(spaces)
    rollout = Sampler(env, seed=0).collect(Scribe(), steps=12)
    gave_up = (rollout.actions == FORFEIT) & rollout.valid
    assert 0 < gave_up.sum() < rollout.valid.sum()
    np.testing.assert_array_equal(forfeits(rollout), gave_up)
    examples = policy.examples(rollout)
    texts = []
    for tokens, length, mask in zip(examples["tokens"], examples["lengths"], examples["mask"]):
        said = tokens[:length], mask[:length]
        texts.append(tuple(policy.tokenizer.decode(said[0][part]) for part in (~said[1], said[1])))
    wanted = []
    for time, slot in np.argwhere(rollout.valid & ~gave_up):
        state = rollout.obs["state"][time, slot]
        man = "xo"[int(state[0]) >> 16 & 1]
        cells = [
            "x" if state[1] >> k & 1 else "o" if state[2] >> k & 1 else "." for k in map(np.uint64, range(9))
        ]
        lines = ["".join(cells[k : k + 3]) for k in (0, 3, 6)]
        action = rollout.actions[time, slot]
        name = "abc"[action % 3] + "321"[action // 3]
        wanted.append((f"{man}:\n" + "\n".join(lines) + "\n", f"<answer>{name}</answer>"))
    assert texts == wanted
    assert len(policy.log_likelihood(examples)) == 4 * len(texts)  # a tag, a letter, a number, a tag


def test_a_student_learns_from_its_own_words_too():
    env, spaces = board(4)
    policy = policy_of(spaces)
    rollout = Sampler(env, seed=0).collect(policy, episodes=8)
    assert (rollout.actions[rollout.valid] == FORFEIT).all(), "a fresh model says nothing"
    assert len(policy.examples(rollout)["tokens"]) == 0


# -- GRPO --------------------------------------------------------------------------------------------------


def grpo_of(spaces, **options):
    options = {"problems": 6, "group_size": 4, "model": MODEL, "max_new": 6, **options}
    return GRPO(*spaces, **options)


def test_a_group_faces_one_position_from_one_seat_against_one_opponent():
    env, spaces = board(16, random_plies=[0, 3])
    others = [Random(*spaces), Perfect(*spaces)]
    rollout = Sampler(env, seed=2).collect(Random(*spaces), episodes=96, group_size=4, opponents=others)
    ended = {name: np.asarray(column) for name, column in rollout.ended.items()}
    pairs = {(g, s, o) for g, s, o in zip(ended["group"], ended["seat"], ended["opponent"])}
    assert len(pairs) == 24
    assert {(seat, opponent) for _, seat, opponent in pairs} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    begins = rollout.first & rollout.valid
    for group in np.unique(ended["group"]):
        rows = begins & (rollout.group == group)
        assert rows.sum() == 4
        assert len(np.unique(rollout.obs["state"][:-1][rows], axis=0)) == 1
    with_odds = Sampler(env, seed=2).collect(
        Random(*spaces), episodes=96, group_size=4, opponents=others, odds=[1, 3]
    )
    drawn = {}
    for group, opponent in zip(with_odds.ended["group"], with_odds.ended["opponent"]):
        assert drawn.setdefault(group, opponent) == opponent
    assert set(drawn.values()) == {0, 1}


@pytest.mark.parametrize("how", [{}, {"advantage": "gae", "group_size": 1, "problems": 24}])
def test_what_won_becomes_likelier_and_what_lost_less_likely(how):
    env, spaces = board(8, random_plies=[0, 2])
    learner = grpo_of(spaces, lr=1e-4, warmup=0, **how)
    rollout = Sampler(env, seed=0).collect(learner.actor, **learner.wants, opponents=[Random(*spaces)])
    Reward({"env": 1.0})(rollout)
    assert (rollout.rewards[rollout.valid] == -1).all(), "a fresh model has no move, and loses every game"
    lucky = rollout.valid & (rollout.episode % 3 == 0)
    rollout.rewards = np.where(lucky, 1, rollout.rewards).astype(np.float32)
    found = learner.speaker.sequences(rollout)
    before = learner.speaker.score(rollout, found).log_prob.detach().numpy()
    metrics = learner.learn(rollout)
    change = learner.speaker.score(rollout, found).log_prob.detach().numpy() - before
    of = np.nonzero(found.mask)[0]
    assert change[found.reward[of] > 0].mean() > 0 > change[found.reward[of] < 0].mean()
    assert metrics["ratio_mean"] == pytest.approx(1, abs=1e-4)


def test_micro_batches_do_not_change_the_step():
    after = []
    for tokens in (1, 100_000):
        env, spaces = board(8)
        learner = grpo_of(spaces, micro_tokens=tokens)
        rollout = Sampler(env, seed=0).collect(learner.actor, **learner.wants, opponents=[Random(*spaces)])
        Reward({"env": 1.0})(rollout)
        rollout.rewards = rollout.rewards + (rollout.episode % 2 == 0)
        learner.learn(rollout)
        after.append(to_arrays(learner.actor.network))
    for name, array in after[0].items():
        np.testing.assert_allclose(array, after[1][name], atol=2e-6, err_msg=name)


# -- in games ----------------------------------------------------------------------------------------------


def test_in_a_match_what_is_no_move_loses_with_its_reason():
    game = load("tic_tac_toe")
    _, spaces = board()
    players = [policy_of(spaces), Random(*spaces)]
    openings = Openings(np.repeat(game.new(), 4, axis=0), np.full((4, 0), -1, np.int16))
    fixtures = Fixtures(np.array([[0, 1], [1, 0]] * 2), openings, from_seeds(range(4)))
    played = play_games(game, players, fixtures)
    assert played.outcomes.tolist() == [SECOND_WON, FIRST_WON] * 2
    assert all(why.startswith(("no move: ", "illegal move: ")) for why in played.why)


def test_a_worker_builds_the_same_player():
    _, spaces = board()
    policy = policy_of(spaces, seed=3)
    twin = build_agent(policy.spec(), *spaces)
    twin.load_weights(policy.weights())
    obs = observe_states(load("tic_tac_toe"), load("tic_tac_toe").new(3))
    said = [p.act(obs, rng=from_seeds([1, 2, 3]), first=np.ones(3, bool)) for p in (policy, twin)]
    np.testing.assert_array_equal(said[0].fields["tokens"], said[1].fields["tokens"])


@pytest.mark.parametrize("id", ["board/ConnectFour-v0", "board/Hex-v0", "pettingzoo/classic/tictactoe_v3"])
@pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo")
def test_every_game_with_words_is_played(id):
    env, spaces = board(4, id)
    policy = policy_of(spaces, model={"size": "XS", "context": 192})
    rollout = Sampler(env, seed=0).collect(policy, episodes=6, opponents=[Random(*spaces)])
    assert len(rollout.ended["return"]) == 6
    assert (rollout.ended["return"] == -1).all()


def config_of(**changes):
    return {
        "env": {"id": ID, "n": 16, "random_plies": [0, 7]},
        "agent": {
            "kind": "imitation",
            "student": {"kind": "language", "model": MODEL, "max_new": 6},
            "expert": {"kind": "perfect"},
            "n_steps": 4,
            "batch_size": 32,
        },
        "budget": {"env_steps": 256},
        "threads": 1,
        **changes,
    }


def test_from_imitation_over_trial_to_a_rated_tournament(tmp_path):
    move37.train(config_of(evaluate={"every": 128, "episodes": 4, "against": "random"}), out=tmp_path / "sft")
    agent = {"kind": "grpo", "model": MODEL, "max_new": 6, "problems": 4, "group_size": 4}
    changes = {"reward": {"env": 1.0, "forfeits": -0.5}, "init": str(tmp_path / "sft")}
    pool = {"sampler": {"pool": {"self": 0.5, "runs": ["perfect", "uct:5"]}}}
    run = move37.train(config_of(agent=agent, **changes, **pool), out=tmp_path / "grpo")
    lines = run.metrics()
    assert all(0 <= line["reward/forfeits"] <= 1 for line in lines)
    entrants = {"random": "random", "perfect": "perfect", "talks": str(tmp_path / "grpo"), "uct": "uct:5"}
    told = {"env": {"id": ID}, "entrants": entrants, "pairs": 3, "threads": 1}
    (tmp_path / "t.yaml").write_text(dump_yaml(told))
    standings = run_tournament(tmp_path / "t.yaml", out=tmp_path / "t")
    assert {row["name"] for row in standings["players"]} == set(entrants)
    games = [line for line in (tmp_path / "t" / "games.jsonl").read_text().splitlines() if '"talks"' in line]
    assert len(games) == 18


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"env": {"id": "board/Go-v0", "n": 4, "size": 5}},
            "reads and writes text: go 5×5.* cannot be told in words",
        ),
        ({"env": {"id": "arcade/Breakout-v1", "n": 4}}, "reads and writes text: only games of two in turn"),
        (
            {"env": {"id": "board/Hex-v0", "n": 4}},
            "positions of hex 11×11 have 136 tokens: a model's context of 64 tokens leaves no room",
        ),
        (
            {"agent": {"kind": "grpo", "model": MODEL, "max_new": 6}},
            r"sampler.pool: .* 2 seats: say whom it plays",
        ),
        (
            {"agent": config_of()["agent"] | {"expert": {"kind": "solver"}}},
            "Solver answers text tasks only",
        ),
    ],
    ids=["go", "arcade", "context", "nobody to play", "solver"],
)
def test_what_does_not_fit_is_told_in_a_line(changes, said, tmp_path):
    config = config_of(**changes)
    if changes.get("env", {}).get("id", "").startswith(("board/Go", "board/Hex", "arcade")):
        config["agent"] = config["agent"] | {"expert": {"kind": "random"}}
    with pytest.raises(UserError, match=said) as told:
        move37.train(config, out=tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()
