"""AlphaZero: what games teach, what is kept, who plays."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

import envs
from agents.options import OptionError
from envs.board import load
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from rollouts.build import build_agent
from rollouts.fleet import Fleet
from rollouts.reward import Reward
from rollouts.sampler import Sampler
from search import gate as gates
from search import replay
from search.alphazero import AlphaZero, alphazero_loss
from search.mcts import Found
from search.moments import as_moments, as_plain, moments
from search.planner import RESIGNED, RESIGNS, Planner
from search.tree import UNKNOWN

SMALL = {"network": {"kind": "mlp", "hidden": [16]}, "search": {"simulations": 8}, "n_steps": 5}


def learner_of(name="tic_tac_toe", game_options=None, **options):
    game = load(name, game_options)
    return AlphaZero(observation_space(game), Discrete(game.actions), **{**SMALL, **options})


def played(learner, id="board/TicTacToe-v0", n=1, rollouts=8, **options):
    """So many rollouts of self-play, learned from; the rollouts."""
    sampler, out = Sampler(envs.make(id, n, **options), seed=5), []
    for _ in range(rollouts):
        rollout = sampler.collect(learner.actor, **learner.wants)
        Reward({"env": 1.0})(rollout)
        learner.learn(rollout)
        out.append(rollout)
    return out


def ply_of(states):
    return (states[:, 0] & np.uint64(0xFFFF)).astype(int)


def seat_of(states):
    return (states[:, 0] >> np.uint64(16) & np.uint64(1)).astype(int)


def test_the_loss_is_what_the_paper_says():
    rng = np.random.default_rng(0)
    logits, value = rng.normal(size=(4, 3)), rng.normal(size=4)
    policy, outcome, weight = (
        rng.dirichlet(np.ones(3), 4),
        np.array([1.0, -1, 0, 1]),
        np.array([1.0, 0, 1, 1]),
    )
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cross = [-sum(p * np.log(c) for p, c in zip(*pair)) for pair in zip(policy, chances)]
    policy_loss = (cross[0] + cross[2] + cross[3]) / 3
    value_loss = np.mean((value - outcome) ** 2)
    loss, parts = alphazero_loss(*map(torch.tensor, (logits, value, policy, outcome, weight)), value_coef=0.5)
    np.testing.assert_allclose(parts, [policy_loss, value_loss])
    np.testing.assert_allclose(loss, policy_loss + 0.5 * value_loss)


@pytest.mark.parametrize(("name", "id"), [("tic_tac_toe", "TicTacToe"), ("othello", "Othello")])
def test_a_position_is_worth_what_its_mover_got(name, id):
    options = {} if name == "tic_tac_toe" else {"size": 4}
    learner = learner_of(name, options, n_steps=40, search={"simulations": 8, "exact": False})
    rollouts = played(learner, f"board/{id}-v0", n=1, rollouts=3, **options)
    results = np.concatenate([r.ended["seat_returns"] for r in rollouts])
    positions = learner.positions
    states, values = (positions.columns[k][: positions.head] for k in ("states", "values"))
    starts = np.flatnonzero(np.diff(ply_of(states), prepend=99) < 0)
    games = np.split(np.arange(len(states)), starts[1:])
    assert len(games) == len(results) > 3
    for rows, result in zip(games, results):
        seats = seat_of(states[rows])
        np.testing.assert_array_equal(values[rows], result[seats])
        assert result.sum() == 0
    assert {-1.0, 1.0} <= set(values)


def test_what_is_proven_is_worth_more_than_what_was_played():
    learner = learner_of(n_steps=9, search={"simulations": 30}, fast={"share": 0.7, "simulations": 1})
    rollout = played(learner, n=16, rollouts=1)[0]
    over = np.asarray(rollout.ended["episode"])
    expected, corrected = {}, 0
    for slot in range(16):
        for game in np.unique(rollout.episode[:, slot]):
            rows = np.flatnonzero(rollout.valid[:, slot] & (rollout.episode[:, slot] == game))
            if game not in over:
                continue
            result = was_played = rollout.ended["seat_returns"][list(over).index(game)]
            for time in reversed(rows):
                if rollout.fields["proven"][time, slot] != UNKNOWN:
                    seat = rollout.obs["to_play"][time, slot]
                    result = rollout.fields["value"][time, slot] * np.array([1, -1]) * (1 - 2 * seat)
                state = rollout.obs["state"][time, slot]
                expected.setdefault(tuple(state), []).append(result[seat_of(state[None])[0]])
                corrected += result[0] != was_played[0]
    states, values = (learner.positions.columns[k][: learner.positions.head] for k in ("states", "values"))
    found = {}
    for state, value in zip(states, values):
        found.setdefault(tuple(state), []).append(value)
    assert {k: sorted(v) for k, v in found.items()} == {k: sorted(v) for k, v in expected.items()}
    assert len(found) > 30
    assert corrected > 3


def test_unfinished_games_are_kept_until_they_are_over():
    learner = learner_of(n_steps=2)
    rollouts = played(learner, n=3, rollouts=6)
    over = sum(int(r.ended["length"].sum()) for r in rollouts)
    assert learner.positions.head == over
    assert len(learner.pending["seat"]) == 6 * 2 * 3 - over


def test_short_searches_teach_the_value_only():
    learner = learner_of(fast={"share": 0.5, "simulations": 2})
    played(learner, n=8)
    weights = learner.positions.columns["weights"][: learner.positions.head]
    assert set(weights) == {0.0, 1.0}
    assert 0.3 < weights.mean() < 0.7


def test_given_up_games_are_played_to_their_end_but_not_learned_from():
    learner = learner_of(resign={"below": 0.05, "control": 0.3})
    learner.actor.search.evaluator = lambda planes: (
        np.zeros((len(planes), 9), np.float32),
        np.where(planes.reshape(len(planes), -1).sum(1) % 3 == 0, -0.9, 0.3).astype(np.float32),
    )
    learner._hand_over = dict
    rollouts = played(learner, n=16, rollouts=6)
    fields = {k: np.concatenate([r.fields[k] for r in rollouts]) for k in ("resigned", "control", "full")}
    episode = np.concatenate([r.episode for r in rollouts])
    resigned, control = fields["resigned"], fields["control"]
    assert (resigned == RESIGNS).any()
    for e in np.unique(episode):
        marks = resigned.T[e == episode.T]  # in the order of play
        assert len(np.unique(control[episode == e])) == 1
        given_up = np.flatnonzero(marks == RESIGNS)
        assert len(given_up) <= 1
        if len(given_up):
            assert (marks[given_up[0] + 1 :] == RESIGNED).all()
    short = (resigned == RESIGNED) & ~control
    assert short.any()
    assert not fields["full"][short].any()
    assert fields["full"][~short].all()
    done = np.isin(episode, np.concatenate([r.ended["episode"] for r in rollouts]))
    assert learner.positions.head == (done & ~short).sum()
    assert learner.given_up == (done & control & (resigned == RESIGNS)).sum() >= learner.not_lost


def test_symmetries_turn_boards_and_policies_together():
    learner = learner_of()
    played(learner, n=8, rollouts=10)
    batch = learner.positions.sample(500, 10_000, np.random.default_rng(0), symmetric=True)
    taken = batch.planes.any(axis=-1).reshape(500, 9)
    assert (batch.policies[taken] == 0).all()
    np.testing.assert_allclose(batch.policies.sum(1), 1, rtol=1e-5)
    plain = learner.positions.sample(500, 10_000, np.random.default_rng(0), symmetric=False)
    assert len(np.unique(batch.planes, axis=0)) > len(np.unique(plain.planes, axis=0))


def test_the_replay_comes_back_as_it_was():
    learner = learner_of(replay_capacity=64, window=64)
    learner.positions.chunk = 16
    played(learner, n=8, rollouts=6)
    assert learner.positions.head > 64
    twin = learner_of(replay_capacity=64, window=64).positions
    twin.chunk = 16
    twin.set_state(learner.positions.get_state())
    assert twin.head == learner.positions.head
    for name, column in learner.positions.columns.items():
        np.testing.assert_array_equal(twin.columns[name], column)
    with pytest.raises(ValueError, match="the saved replay_capacity is 64, this one 128: it cannot change"):
        learner_of(replay_capacity=128, window=64).positions.set_state(learner.positions.get_state())


def test_the_replay_holds_what_was_asked_for_whatever_its_chunks(monkeypatch):
    """A checkpoint that tells the room of its whole chunks fits, too."""
    monkeypatch.setattr(replay, "CHUNK", 16)
    learner = learner_of(replay_capacity=50, window=50)
    played(learner, n=8, rollouts=6)
    positions = learner.positions
    assert positions.head > 64
    assert len(positions) == positions.capacity == 50
    for rounded in (50, 64):
        twin = learner_of(replay_capacity=50, window=50).positions
        twin.set_state(positions.get_state() | {"capacity": rounded})
        newest = np.arange(positions.head - 50, positions.head) % 64
        assert (len(twin), twin.head) == (50, positions.head)
        for name, column in positions.columns.items():
            np.testing.assert_array_equal(twin.columns[name][newest], column[newest])
        same_names = [part.name for part in positions.get_state()["chunks"][:-1]]
        assert [part.name for part in twin.get_state()["chunks"][:-1]] == same_names


def test_the_window_grows_slower_than_what_was_played():
    learner = learner_of(window=100, replay_capacity=1000)
    sizes = []
    for head in (0, 100, 200, 1000, 10**6):
        learner.positions.head = head
        sizes.append(learner._window())
    assert sizes == [100, 100, 136, 346, 1000]  # KataGo's formula: 100 (1 + 0.4 ((N / 100)^0.75 − 1) / 0.75)


def test_a_worker_builds_the_same_planner():
    learner = learner_of(fast={"share": 0.5, "simulations": 3}, resign={})
    spaces = observation_space(learner.actor.game), Discrete(9)
    twin = build_agent(learner.actor.spec(), *spaces)
    twin.load_weights(learner.actor.weights())
    first, states = np.ones(4, bool), learner.actor.game.new(4)
    a, b = (p.act({"state": states}, rng=from_seeds(range(4)), first=first) for p in (learner.actor, twin))
    np.testing.assert_array_equal(a.actions, b.actions)
    for name, value in a.fields.items():
        np.testing.assert_array_equal(value, b.fields[name])


def test_evaluation_has_no_noise_and_no_chance():
    actor = learner_of().actor
    states, first = actor.game.new(3), np.ones(3, bool)
    moves = [
        actor.act({"state": states}, rng=from_seeds(s), first=first, explore=False).fields["policy"]
        for s in ((1, 2, 3), (4, 5, 6))
    ]
    np.testing.assert_array_equal(*moves)
    noisy = [
        actor.act({"state": states}, rng=from_seeds(s), first=first).fields["policy"] for s in ((1, 2, 3),)
    ]
    assert not np.array_equal(noisy[0], moves[0])


def test_the_gate_lets_through_who_wins(monkeypatch):
    @dataclasses.dataclass
    class Result:
        score: float

    scores, met = iter([0.5, 0.6]), []

    def play_match(env, a, b, *, pairs, seed):
        met.append((a.weights(), b.weights(), env.num_envs, a.eval_simulations))
        return Result(next(scores))

    monkeypatch.setattr(gates, "play_match", play_match)
    learner = learner_of(
        gate={"every": 30, "pairs": 3, "simulations": 5, "score": 0.55}, replay_ratio=50, batch_size=16
    )
    begun = learner.actor.weights()
    rollouts = iter(range(100))
    while len(met) < 1:
        next(rollouts)
        played(learner, n=4, rollouts=1)
    for name, value in learner.actor.weights().items():
        np.testing.assert_array_equal(value, begun[name])
        np.testing.assert_array_equal(met[0][1][name], begun[name])
    assert any((met[0][0][k] != begun[k]).any() for k in begun)  # the challenger has learned
    assert met[0][2:] == (6, 5)
    while len(met) < 2:
        next(rollouts)
        played(learner, n=4, rollouts=1)
    for name, value in learner.actor.weights().items():
        np.testing.assert_array_equal(value, met[1][0][name])
    assert learner.gate.get_state() == {"waited": 0, "matches": 2, "passed": 1}


def test_positions_of_rounds_without_a_gradient_step_count_for_the_gate(monkeypatch):
    monkeypatch.setattr(gates, "play_match", lambda *a, **k: pytest.fail("not due"))
    learner = learner_of(gate={"every": 10**6}, replay_ratio=0.2, batch_size=64)
    rounds, counts = [], []
    hand_over = learner._hand_over
    learner._hand_over = lambda: rounds.append(1) or hand_over()
    sampler = Sampler(envs.make("board/TicTacToe-v0", 32), seed=5)
    for _ in range(20):
        rollout = sampler.collect(learner.actor, **learner.wants)
        counts.append(learner.learn(rollout)["gradient_steps"])
    assert 0 < len(rounds) < 20
    assert learner.gate.waited == learner.positions.head > 300
    assert counts == sorted(counts)  # a count: of all steps so far
    assert counts[-1] == learner.gradient_steps == int(learner.positions.head * 0.2 / 64)


def test_short_searches_are_never_longer_than_full_ones():
    actor = learner_of(resign={"below": 0.0, "control": 0.0}).actor
    assert actor.short == 8  # of 8, where short ones have 16 unless told


def test_two_workers_equal_two_samplers():
    learner = learner_of("connect_four")
    fleet = Fleet({"id": "board/ConnectFour-v0"}, n=4, workers=2, seed=3, local=True)
    together = fleet.collect(learner.actor, steps=12)
    for worker in range(2):
        alone = Sampler(envs.make("board/ConnectFour-v0", 2), seed=3, worker=worker)
        rollout = alone.collect(learner.actor, steps=12)
        half = slice(2 * worker, 2 * worker + 2)
        np.testing.assert_array_equal(together.actions[:, half], rollout.actions)
        np.testing.assert_array_equal(together.fields["policy"][:, half], rollout.fields["policy"])
    fleet.close()


def test_moments_are_moves_that_nobody_expected_and_that_are_better():
    prior = np.array([[0.6, 0.3995, 0.0005], [0.6, 0.3995, 0.0005], [0.5, 0.4, 0.1]], np.float32)
    q = np.array([[0.1, 0.2, 0.7], [0.1, 0.8, 0.7], [0.1, 0.2, 0.7]], np.float32)
    visits = np.array([[5, 5, 30]] * 3, np.int32)
    rest = {"policy": prior, "value": q[:, 0], "raw_value": q[:, 0], "proven": np.zeros(3, np.int8)}
    found = moments(Found(visits=visits, q=q, prior=prior, best=np.full(3, 2), **rest))
    assert found.dtype.names == ("gain", "action", "prior", "visits", "value")
    np.testing.assert_allclose(as_plain(found)[0], [0.5, 2, 0.0005, 0.75, 0.7], rtol=1e-5)
    np.testing.assert_array_equal(found["gain"][1:], 0)  # a liked move is better still; it was liked itself
    np.testing.assert_array_equal(as_moments(as_plain(found)), found)
    assert len(as_moments(as_plain(found[:0]))) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"search": {"simulation": 8}}, "did you mean 'simulations'"),
        ({"network": {"kind": "resnt"}}, "did you mean 'resnet'"),
        ({"fast": {"share": 1.0}}, "fast.share"),
        ({"temperature": {"first": -1.0}}, "temperature.first"),
        ({"resign": {"below": 2.0}}, "resign.below"),
        ({"gate": {"score": 2.0}}, "gate.score"),
        (
            {"fast": {"simulations": 9}},
            r"^fast\.simulations must be at most search\.simulations \(8\), not 9$",
        ),
        ({"window": 11, "replay_capacity": 10}, r"^window must be at most replay_capacity \(10\), not 11$"),
    ],
)
def test_wrong_options_are_told(options, said):
    with pytest.raises(OptionError, match=said):
        learner_of(**options)


def test_only_board_games_have_states_to_plan_from():
    env = envs.make("CartPole-v1", 1)
    with pytest.raises(ValueError, match="no board game"):
        Planner(env.single_observation_space, env.single_action_space)
