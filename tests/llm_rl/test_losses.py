import itertools

import numpy as np
import pytest
import torch

from envs.options import OptionError
from llm_rl.advantages import advantages
from llm_rl.losses import (
    AGGREGATIONS,
    KL,
    LOSSES,
    UNBOUNDED,
    Clip,
    Tokens,
    Totals,
    correction,
    evaluate,
    k1,
    k2,
    k3,
    kl,
    make_clip,
    policy_loss,
    sequence_weights,
    statistics,
    totals,
    value_loss,
    weighted_sum,
)
from tests.llm_rl.enumeration import (
    END,
    LENGTHS,
    LONGEST,
    MASK,
    OUTPUTS,
    RETURNS,
    SEQUENCE,
    divergence,
    expected_return,
    log_probs,
    probabilities,
    score,
    table,
    token_divergence,
    torch_value_and_gradient,
    value_and_gradient,
    visits,
)

ALL = np.ones(len(OUTPUTS), bool)
WIDE = {kind: make_clip(kind) for kind in LOSSES}
TIGHT = {"clip": Clip(0.1, 0.15, 1.4), "gspo": Clip(0.05, 0.04, 1.15), "cispo": Clip(0.3, 0.2)}
CLIPS = {**TIGHT, "reinforce": UNBOUNDED}
EXACT = {"rtol": 0, "atol": 1e-10}


def per_token(sequence_values):
    return torch.as_tensor(np.asarray(sequence_values, float))[:, None].expand(-1, LONGEST)


def make_tokens(log_prob, old, advantage, mask=MASK, sequence=SEQUENCE):
    return Tokens(log_prob, old, advantage, mask, sequence)


def expectation(kind, clip, old_logits, returns, per_output):
    """The expected loss over all outputs of the old policy; each token weighs `per_output`."""
    old = score(torch.tensor(old_logits))
    weight = per_token(probabilities(old_logits) * per_output)

    def loss(log_prob):
        tokens = make_tokens(log_prob, old, per_token(returns))
        return weighted_sum(weight, MASK, (1.0, policy_loss(kind, tokens, clip)))

    return loss


# -- plain losses: of one output's log-probabilities, the old ones, its advantage and a clip -----------------


def smaller(a, b):
    return a if a.real <= b.real else b


def plain_gain(ratio, advantage, clip):
    held = ratio
    if ratio.real < 1 - clip.low:
        held = 1 - clip.low + 0j
    if ratio.real > 1 + clip.high:
        held = 1 + clip.high + 0j
    gain = smaller(ratio * advantage, held * advantage)
    if clip.dual is not None and advantage < 0:
        gain = -smaller(-gain, -clip.dual * advantage + 0j)
    return gain


def plain_clip(new, old, advantage, clip):
    return [-plain_gain(np.exp(a - b), advantage, clip) for a, b in zip(new, old)]


def plain_gspo(new, old, advantage, clip):
    ratio = np.exp(sum(a - b for a, b in zip(new, old)) / len(new))
    return [-plain_gain(ratio, advantage, clip)] * len(new)


def plain_cispo(new, old, advantage, clip):
    weights = [np.clip(np.exp(a - b).real, 1 - clip.low, 1 + clip.high) for a, b in zip(new, old)]
    return [-w * advantage * a for w, a in zip(weights, new)]


def plain_reinforce(new, old, advantage, clip):
    return [-advantage * a for a in new]


PLAIN = {"clip": plain_clip, "gspo": plain_gspo, "cispo": plain_cispo, "reinforce": plain_reinforce}


def plain_expectation(kind, clip, old_logits, returns, per_output):
    chances, old = probabilities(old_logits), log_probs(old_logits)

    def loss(logits):
        rows = zip(chances, per_output, log_probs(logits), old, returns)
        return sum(p * w * sum(PLAIN[kind](new, was, r, clip)) for p, w, new, was, r in rows)

    return loss


AVERAGED = {
    "token": np.full(len(OUTPUTS), 1 / LENGTHS.sum()),
    "sequence": 1 / LENGTHS,
    "constant": np.full(len(OUTPUTS), 1 / LONGEST),
}


@pytest.mark.parametrize("averaged", AVERAGED)
@pytest.mark.parametrize("kind", LOSSES)
def test_value_and_gradient_are_those_of_every_output_listed(kind, averaged):
    """Off the policy that sampled, with clips so tight that each of them holds somewhere."""
    old, new, clip = table(0), table(0) + table(1, 0.8), CLIPS[kind]
    share = AVERAGED[averaged]
    value, gradient = value_and_gradient(plain_expectation(kind, clip, old, RETURNS, share), new)
    ours = torch_value_and_gradient(expectation(kind, clip, old, RETURNS, share), new)
    np.testing.assert_allclose(ours[0], value, **EXACT)
    np.testing.assert_allclose(ours[1], gradient, **EXACT)
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("kind", TIGHT)
def test_every_branch_of_the_clips_was_taken(kind):
    old, new, clip = score(torch.tensor(table(0))), score(torch.tensor(table(0) + table(1, 0.8))), CLIPS[kind]
    ratio = LOSSES[kind].ratio(make_tokens(new, old, per_token(RETURNS)))[MASK]
    positive = (per_token(RETURNS) > 0)[MASK]
    low, high = ratio < 1 - clip.low, ratio > 1 + clip.high
    assert (~low & ~high).any()
    for side in (low, high):
        assert (side & positive).any()
        assert (side & ~positive).any()
    if clip.dual is not None:
        assert ((ratio > clip.dual) & ~positive).any()


def test_gspo_token_is_gspo_with_one_ratio_a_token():
    """Its ratio has the sequence's value and the token's gradient (Zheng et al., 2025, eq. 14)."""
    old, new = table(0), table(0) + table(1, 0.8)
    chances = probabilities(old)
    advantage = np.random.default_rng(0).normal(size=(len(OUTPUTS), LONGEST))

    def plain(logits):
        total = 0
        for p, now, was, gains in zip(chances, log_probs(logits), log_probs(old), advantage):
            ratio = np.exp(sum(a - b for a, b in zip(now, was)) / len(now)).real
            for log_p, gain in zip(now, gains):
                total -= p * ratio * gain * np.exp(log_p - log_p.real)
        return total

    def ours(log_prob):
        tokens = make_tokens(log_prob, score(torch.tensor(old)), torch.tensor(advantage))
        loss = policy_loss("gspo", tokens, UNBOUNDED)
        return weighted_sum(per_token(chances), MASK, (1.0, loss))

    for mine, its in zip(torch_value_and_gradient(ours, new), value_and_gradient(plain, new)):
        np.testing.assert_allclose(mine, its, **EXACT)


# -- on the policy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSES)
def test_on_the_policy_every_loss_has_the_exact_policy_gradient(kind):
    logits = table(4)
    _, gradient = value_and_gradient(expected_return, logits)
    share = sequence_weights("constant", LENGTHS, ALL, 1) * len(OUTPUTS)
    ours = torch_value_and_gradient(expectation(kind, WIDE[kind], logits, RETURNS, share), logits)
    np.testing.assert_allclose(ours[1], -gradient, **EXACT)


@pytest.mark.parametrize("kind", LOSSES)
def test_on_the_first_pass_the_ratio_is_exactly_one_and_the_gradient_reinforces(kind):
    parameter = torch.tensor(table(5), dtype=torch.float32, requires_grad=True)
    log_prob = score(parameter)
    tokens = make_tokens(log_prob, log_prob.detach(), per_token(RETURNS).float())
    assert (LOSSES[kind].ratio(tokens) == 1).all()
    found = statistics(kind, tokens, WIDE[kind])
    assert found["ratio_mean"] == found["ratio_max"] == 1
    assert found["approx_kl"] == 0
    assert found.get("clip_fraction_low", 0) == found.get("clip_fraction_high", 0) == 0
    (mine,) = torch.autograd.grad(policy_loss(kind, tokens, WIDE[kind]).sum(), parameter, retain_graph=True)
    (plain,) = torch.autograd.grad(-(tokens.advantage * log_prob)[MASK].sum(), parameter)
    torch.testing.assert_close(mine, plain, rtol=0, atol=1e-6)


def test_the_bandit_gradient_is_the_formula():
    """Two choices of one token: dJ/dlogit = p (1 − p) (R₀ − R₁)."""
    logits = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)
    log_prob = logits.log_softmax(0)
    tokens = Tokens(
        log_prob, log_prob.detach(), torch.tensor([2.0, -1.0]).double(), *2 * [torch.ones(2).bool()]
    )
    weight = log_prob.detach().exp()
    weighted_sum(weight, tokens.mask, (1.0, policy_loss("clip", tokens, WIDE["clip"]))).backward()
    p = weight[0].item()
    np.testing.assert_allclose(logits.grad, [-3 * p * (1 - p), 3 * p * (1 - p)], **EXACT)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    ("method", "factor"), [("leave_one_out", lambda n: 1), ("group_mean", lambda n: 1 - 1 / n)]
)
def test_over_all_groups_that_can_be_the_baselines_leave_the_gradient(method, factor, size):
    """RLOO's is the exact gradient; a mean that counts the sample itself makes it (1 − 1/n) of that."""
    logits = table(6)
    _, gradient = value_and_gradient(expected_return, logits)
    np.testing.assert_allclose(group_gradient(method, size, logits), -factor(size) * gradient, **EXACT)


def test_in_units_of_the_groups_deviation_the_gradient_is_another():
    logits, size = table(6), 3
    chances, share = probabilities(logits), np.zeros(len(OUTPUTS))
    for group in map(list, itertools.product(range(len(OUTPUTS)), repeat=size)):
        r = RETURNS[group]
        if len(set(r)) > 1:
            for output, gain in zip(group, (r - r.mean()) / r.std(ddof=1)):
                share[output] += np.prod(chances[group]) * gain / size

    def plain(moved):
        return -sum(x * sum(row) for x, row in zip(share, log_probs(moved)))

    _, wanted = value_and_gradient(plain, logits)
    mine = group_gradient("group_std", size, logits)
    np.testing.assert_allclose(mine, wanted, **EXACT)
    _, gradient = value_and_gradient(expected_return, logits)
    cosine = -(mine * gradient).sum() / np.linalg.norm(mine) / np.linalg.norm(gradient)
    assert 0.5 < cosine < 0.999


def group_gradient(method, size, logits):
    """The expected gradient over all 15^size groups of outputs."""
    groups = np.array(list(itertools.product(range(len(OUTPUTS)), repeat=size)))
    chances = np.prod(probabilities(logits)[groups], axis=1)
    members, number = groups.ravel(), np.repeat(np.arange(len(groups)), size)
    advantage = advantages(method, RETURNS[members], number, np.ones(len(members), bool))
    weight = torch.as_tensor(np.repeat(chances / size, size) * advantage)
    old = score(torch.tensor(logits))[members]

    def loss(log_prob):
        tokens = make_tokens(log_prob[members], old, per_token(np.ones(len(members))), MASK[members])
        return (weight[:, None] * policy_loss("clip", tokens, WIDE["clip"])).sum()

    return torch_value_and_gradient(loss, logits)[1]


# -- the clip's signs and bounds -----------------------------------------------------------------------------


def gain_and_slope(kind, ratio, advantage, clip):
    """−loss and its derivative by log π, of one token at this ratio."""
    log_prob = torch.tensor([np.log(ratio)], dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(1).double(), torch.ones(1).bool()
    tokens = Tokens(log_prob, zero, zero + advantage, one, torch.zeros(1).long())
    gain = -policy_loss(kind, tokens, clip).sum()
    (slope,) = torch.autograd.grad(gain, log_prob)
    return gain.item(), slope.item()


@pytest.mark.parametrize("kind", ["clip", "gspo"])
@pytest.mark.parametrize(
    ("ratio", "advantage", "gain", "slope"),
    [
        (1.5, 2.0, 2.56, 0.0),  # has gained enough: 1.28 · 2
        (1.5, -2.0, -3.0, -3.0),  # a bad token became likelier: all of the gradient
        (0.5, -2.0, -1.6, 0.0),  # a bad token has lost enough: 0.8 · −2
        (0.5, 2.0, 1.0, 1.0),  # a good token became less likely: all of the gradient
        (1.25, 2.0, 2.5, 2.5),  # within clip-higher, beyond 1.2
        (0.75, -2.0, -1.6, 0.0),  # the lower bound is the other one
        (9.0, -2.0, -6.0, 0.0),  # the dual clip: 3 · −2
        (2.9, -2.0, -5.8, -5.8),
        (9.0, 2.0, 2.56, 0.0),  # which has no say about a good token
    ],
)
def test_the_clip_holds_on_the_right_side(kind, ratio, advantage, gain, slope):
    assert gain_and_slope(kind, ratio, advantage, Clip(0.2, 0.28, 3.0)) == pytest.approx((gain, slope))


@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_cispo_holds_the_weight_and_keeps_the_gradient(advantage):
    for ratio, weight in [(9.0, 5.0), (2.0, 2.0), (0.1, 0.1), (1e-6, 1e-6)]:
        gain, slope = gain_and_slope("cispo", ratio, advantage, WIDE["cispo"])
        assert slope == pytest.approx(weight * advantage)
        assert gain == pytest.approx(weight * advantage * np.log(ratio))


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("apart", [1e4, -1e4])
def test_policies_worlds_apart_overflow_nothing(kind, apart):
    log_prob = torch.tensor([apart], requires_grad=True)
    one = torch.ones(1)
    for advantage in (one, -one):
        tokens = Tokens(log_prob, 0 * one, advantage, one.bool(), torch.zeros(1).long())
        loss = policy_loss(kind, tokens, WIDE[kind]).sum() + sum(
            kl(k, log_prob, 0 * one, one.bool()) for k in KL
        )
        (gradient,) = torch.autograd.grad(loss.sum(), log_prob)
        assert torch.isfinite(loss).all()
        assert torch.isfinite(gradient).all()


def test_clips_are_checked():
    assert make_clip("clip") == Clip(0.2, 0.2)
    assert make_clip("clip", high=0.28) == Clip(0.2, 0.28)
    assert make_clip("gspo") == Clip(3e-4, 4e-4)
    for option, arguments in {
        "loss": ("clap",),
        "clip.low": ("clip", 0.0),
        "clip.high": ("reinforce", None, 0.2),
        "clip.dual": ("clip", None, 0.28, 1.2),
    }.items():
        with pytest.raises(OptionError) as error:
            make_clip(*arguments)
        assert error.value.option == option
    with pytest.raises(OptionError, match=r"'cispo' has no clip\.dual"):
        make_clip("cispo", dual=3.0)


# -- KL ------------------------------------------------------------------------------------------------------

POLICY, REFERENCE = table(7), table(7) + table(8, 0.4)
CHANCE = per_token(probabilities(POLICY))


def kl_loss(estimator):
    """The expected KL loss over the outputs, as `torch_value_and_gradient` takes it."""
    reference = score(torch.tensor(REFERENCE))
    return lambda log_prob: weighted_sum(CHANCE, MASK, (1.0, kl(estimator, log_prob, reference, MASK)))


def test_k1_and_k3_have_the_kl_for_a_mean_and_k2_nearly():
    exact = divergence(POLICY, REFERENCE).real
    means = {name: torch_value_and_gradient(kl_loss(name), POLICY)[0] for name in KL}
    assert exact > 0.05
    np.testing.assert_allclose([means["k1"], means["k3"]], exact, **EXACT)
    assert 1e-3 < abs(means["k2"] - exact) < 0.2 * exact


def test_k3_is_never_negative_and_k1_has_the_right_sign():
    likelier = torch.tensor([-1.0, 0.0, 1.0, 5.0])
    assert k1(likelier).tolist() == likelier.tolist()
    assert (k3(torch.linspace(-9, 9, 1001).double()) >= 0).all()
    assert k3(torch.zeros(1)).item() == 0
    assert k3(torch.tensor(2.0)).item() == pytest.approx(np.exp(-2) - 1 + 2)
    assert k2(torch.tensor(-3.0)).item() == 4.5
    log_prob, reference = torch.tensor([-1.0]), torch.tensor([-3.0])
    assert kl("k1", log_prob, reference, torch.ones(1).bool()).item() == 2.0  # π likes it more than π_ref


def test_as_losses_only_k2_has_the_gradient_of_the_kl():
    """Of each token's KL, for the prefixes that were visited: what no loss of single tokens can be beyond."""
    seen = visits(POLICY)
    _, right = value_and_gradient(lambda x: token_divergence(x, REFERENCE, seen), POLICY)
    _, reverse = value_and_gradient(lambda x: token_divergence_to(x, seen), POLICY)
    gradients = {name: torch_value_and_gradient(kl_loss(name), POLICY)[1] for name in KL}
    np.testing.assert_allclose(gradients["k2"], right, **EXACT)
    np.testing.assert_allclose(gradients["k1"], 0, **EXACT)
    np.testing.assert_allclose(gradients["k3"], reverse, **EXACT)
    assert np.abs(gradients["k3"] - right).max() > 1e-2


def token_divergence_to(logits, seen):
    """Σ visits · KL(π_ref ‖ π): the other way round."""
    log_p, log_ref = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (logits, REFERENCE))
    return (seen * (np.exp(log_ref) * (log_ref - log_p)).sum(axis=1)).sum()


@pytest.mark.parametrize("estimator", KL)
def test_in_the_reward_k1_gives_the_gradient_of_return_less_kl(estimator):
    """The whole gradient: also of what a token does to the tokens after it."""
    beta, reference = 0.3, score(torch.tensor(REFERENCE))
    _, wanted = value_and_gradient(lambda x: expected_return(x) - beta * divergence(x, REFERENCE), POLICY)
    old = score(torch.tensor(POLICY))
    rewards = RETURNS - beta * kl(estimator, old, reference, MASK).sum(1).numpy()
    share = np.ones(len(OUTPUTS))
    loss = expectation("reinforce", UNBOUNDED, POLICY, rewards, share)
    apart = np.abs(torch_value_and_gradient(loss, POLICY)[1] + wanted).max()
    assert apart < 1e-10 if estimator == "k1" else apart > 1e-3


# -- another sampler -----------------------------------------------------------------------------------------


def test_with_the_correction_a_strange_samplers_tokens_give_the_learners_gradient():
    """Exact where outputs are one token long and nothing is capped."""
    learner, sampler = table(9), table(9) + table(10, 0.2)
    old, sampled = score(torch.tensor(learner)), score(torch.tensor(sampler))
    first = MASK.clone()
    first[:, 1:] = False
    chances = per_token(probabilities(sampler))
    weight = correction(old, sampled, first, cap=1e9) * chances

    def loss(log_prob):
        tokens = make_tokens(log_prob, old, per_token(first_return()), first)
        return weighted_sum(weight, first, (1.0, policy_loss("clip", tokens, WIDE["clip"])))

    def first_return():
        return np.array([{0: 1.0, 1: -2.0, END: 0.5}[o[0]] for o in OUTPUTS])

    _, wanted = value_and_gradient(lambda x: expected_return(x, first_return()), learner)
    np.testing.assert_allclose(torch_value_and_gradient(loss, learner)[1], -wanted, **EXACT)


def test_the_correction_is_capped_and_has_no_gradient():
    old, sampled = (
        torch.tensor([0.0, 0.0, -3.0, 7.0], requires_grad=True),
        torch.tensor([0.0, -3.0, 0.0, 0.0]),
    )
    weight = correction(old, sampled, torch.tensor([True, True, True, False]), cap=2.0)
    np.testing.assert_allclose(weight, [1, 2, np.exp(-3), 1], rtol=1e-6)
    assert not weight.requires_grad


# -- micro-batches, workers, aggregation ---------------------------------------------------------------------

BATCH = [14, 3, 0, 7, 9, 2, 5, 11]
"""Eight outputs, of one to three tokens."""
COUNTED = np.array([1, 1, 0, 1, 1, 1, 1, 1], bool)


def gradient_of(parts, aggregation, kind, total=None, packed=False):
    """The gradient summed over micro-batches, lists of places in BATCH; `total` as workers pass it."""
    logits, old = torch.tensor(table(0) + table(1, 0.8), requires_grad=True), score(torch.tensor(table(0)))
    for part in parts:
        outputs = [BATCH[i] for i in part]
        total = total or totals(LENGTHS[BATCH], COUNTED)
        weights = sequence_weights(aggregation, LENGTHS[outputs], COUNTED[part], LONGEST, total)
        tokens = make_tokens(
            score(logits)[outputs],
            old[outputs],
            per_token(RETURNS[outputs]),
            MASK[outputs],
            SEQUENCE[: len(outputs)],
        )
        if packed:
            tokens = Tokens(*(x[tokens.mask] for x in tokens))
        weight = torch.as_tensor(weights)[tokens.sequence]
        entropy = tokens.log_prob.exp()  # stands for any other term
        weighted_sum(
            weight, tokens.mask, (1.0, policy_loss(kind, tokens, CLIPS[kind])), (-0.1, entropy)
        ).backward()
    return logits.grad.numpy()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", LOSSES)
def test_micro_batches_workers_and_padding_do_not_change_the_gradient(kind, aggregation):
    whole = gradient_of([list(range(8))], aggregation, kind)
    assert np.abs(whole).max() > 1e-4
    one_by_one = gradient_of([[i] for i in range(8)], aggregation, kind)
    uneven = gradient_of([[6, 1], [0, 5, 2, 7, 4], [3]], aggregation, kind)
    packed = gradient_of([list(range(8))], aggregation, kind, packed=True)
    shares = [[0, 1, 2], [3, 4, 5, 6, 7]]
    sums = [totals(LENGTHS[BATCH][s], COUNTED[s]) for s in shares]
    total = Totals(*(sum(x) for x in zip(*sums)))
    workers = sum(gradient_of([share], aggregation, kind, total) for share in shares)
    for other in (one_by_one, uneven, packed, workers):
        np.testing.assert_allclose(other, whole, rtol=0, atol=1e-14)


def test_a_mean_of_each_micro_batch_would_change_it():
    """What `token_mean` must not be: two tokens of one micro-batch outweigh two of a fuller one."""
    parts = [[0, 1, 2, 3, 4, 5, 6], [7]]
    means = sum(
        gradient_of([p], "token_mean", "clip", totals(LENGTHS[BATCH][p], COUNTED[p])) / 2 for p in parts
    )
    assert np.abs(means - gradient_of([list(range(8))], "token_mean", "clip")).max() > 1e-3


def test_what_the_weights_say():
    lengths, counted = np.array([4, 1, 10, 5]), np.array([1, 1, 0, 1], bool)
    weights = {name: sequence_weights(name, lengths, counted, 20) for name in AGGREGATIONS}
    np.testing.assert_allclose(weights["token_mean"], [0.1, 0.1, 0, 0.1])
    np.testing.assert_allclose(weights["sequence_mean"], [1 / 12, 1 / 3, 0, 1 / 15])
    np.testing.assert_allclose(weights["constant"], [1 / 60, 1 / 60, 0, 1 / 60])
    assert (weights["token_mean"] * lengths).sum() == pytest.approx(1)
    np.testing.assert_allclose(weights["sequence_mean"] * lengths, np.where(counted, 1 / 3, 0))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_each_aggregation_keeps_what_it_promises(aggregation):
    def weights(lengths, **options):
        return sequence_weights(aggregation, np.array(lengths), np.ones(len(lengths), bool), 64, **options)

    before = weights([3, 8, 5])
    np.testing.assert_allclose(weights([5, 3, 8]), before[[2, 0, 1]])  # order
    np.testing.assert_allclose(weights([3, 8, 5] * 2) * 2, np.tile(before, 2))  # the batch twice
    after = weights([3, 8, 50])  # another answer became longer
    if aggregation == "token_mean":
        assert after[0] < before[0]
        assert np.ptp(after) == 0
    else:
        np.testing.assert_allclose(after[:2], before[:2])
    assert (after[2] == before[2]) == (aggregation == "constant")


def test_sequences_that_are_not_counted_leave_no_trace():
    """A group that teaches nothing is in no denominator; a batch of nothing else has the gradient 0."""
    lengths, counted = np.array([4, 6, 8]), np.array([1, 1, 0], bool)
    for name in AGGREGATIONS:
        np.testing.assert_array_equal(
            sequence_weights(name, lengths, counted, 9)[:2], sequence_weights(name, lengths[:2], ALL[:2], 9)
        )
        assert not sequence_weights(name, lengths, np.zeros(3, bool), 9).any()


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_what_the_agent_did_not_write_has_no_say(kind, rubbish):
    old, new = score(torch.tensor(table(0))), score(torch.tensor(table(0) + table(1, 0.8)))
    clean, spoilt = [], []
    for out, fill in ((clean, 0.0), (spoilt, rubbish)):
        log_prob, was, advantage, entropy, weight = (
            torch.where(MASK, x, fill).requires_grad_()
            for x in (new, old, per_token(RETURNS), new.exp(), torch.ones_like(new))
        )
        tokens = make_tokens(log_prob, was.detach(), advantage.detach())
        divergences = [(0.1, kl(k, log_prob, was.detach(), MASK)) for k in KL]
        terms = [(1.0, policy_loss(kind, tokens, CLIPS[kind])), (-0.1, entropy), *divergences]
        loss = weighted_sum(weight.detach(), MASK, *terms)
        (gradient,) = torch.autograd.grad(loss, log_prob)
        found = statistics(kind, tokens, CLIPS[kind], entropy=entropy, sampler_log_prob=was)
        out += [loss.item(), gradient, found]
    assert spoilt[0] == clean[0]
    torch.testing.assert_close(spoilt[1], clean[1], rtol=0, atol=0)
    assert spoilt[2] == clean[2]
    assert (clean[1][~MASK] == 0).all()
    assert (clean[1][MASK] != 0).any()


def test_the_end_token_is_in_the_loss():
    """Outputs that end alike in all but END differ in their gradient there."""
    logits = torch.tensor(table(0), requires_grad=True)
    tokens = make_tokens(score(logits), score(logits).detach(), per_token(np.ones(len(OUTPUTS))))
    stop = OUTPUTS.index((END,))
    (gradient,) = torch.autograd.grad(policy_loss("clip", tokens, WIDE["clip"])[stop].sum(), logits)
    assert gradient[0, END] < 0 < gradient[0, :END].min()  # a step down the gradient makes END likelier


# -- the rest ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_prob_and_entropy_are_those_of_the_distribution_that_was_drawn_from(temperature):
    logits = torch.tensor(np.random.default_rng(0).normal(size=(2, 5, 6)), requires_grad=True)
    with torch.no_grad():
        logits[1, 2, 3] = -torch.inf  # left out by top-k, say
    tokens = torch.tensor(np.random.default_rng(1).integers(0, 3, (2, 5)))
    log_prob, entropy = evaluate(logits, tokens, temperature)
    for i, t in itertools.product(range(2), range(5)):
        weights = np.exp(logits[i, t].detach().numpy() / temperature)
        p = weights / weights.sum()
        assert log_prob[i, t].item() == pytest.approx(np.log(p[tokens[i, t]]))
        assert entropy[i, t].item() == pytest.approx(-sum(x * np.log(x) for x in p if x > 0))
    (log_prob.sum() + entropy.sum()).backward()
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_scored_in_float32():
    logits, tokens = torch.randn(7, 50, generator=torch.manual_seed(0)).bfloat16(), torch.arange(7)
    found, wanted = evaluate(logits, tokens, 0.9), evaluate(logits.double(), tokens, 0.9)
    for mine, exact in zip(found, wanted):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), exact, rtol=1e-5, atol=1e-6)


def test_the_entropys_gradient_is_exact():
    logits = np.random.default_rng(2).normal(size=(1, 4))

    def plain(x):
        p = np.exp(x) / np.exp(x).sum()
        return -(p * np.log(p)).sum()

    value, wanted = value_and_gradient(plain, logits)
    parameter = torch.tensor(logits, requires_grad=True)
    _, entropy = evaluate(parameter, torch.tensor([0]))
    entropy.sum().backward()
    np.testing.assert_allclose(entropy.item(), value, **EXACT)
    np.testing.assert_allclose(parameter.grad, wanted, **EXACT)


def test_the_values_loss():
    value, returns, old = (torch.tensor(x, requires_grad=True) for x in ([3.0, 3.0], [1.0, 5.0], [2.5, 2.5]))
    assert value_loss(value, returns, old).tolist() == [2.0, 2.0]
    clipped = value_loss(value, returns, old, clip=0.1)
    np.testing.assert_allclose(clipped.tolist(), [2.0, 0.5 * 2.4**2])
    (gradient,) = torch.autograd.grad(clipped.sum(), value)
    assert gradient.tolist() == [2.0, 0.0]  # the second has moved too far already


def test_statistics_count_what_they_say():
    old = torch.log(torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.5, 0.5, 0.2, 0.9]], dtype=torch.float64))
    ratio = torch.tensor([[1.0, 1.5, 0.5, 1.4], [2.0, 0.4, 0.7, 7.0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=torch.bool)
    advantage = torch.tensor([[1.0] * 4, [-1.0] * 4], dtype=torch.float64)
    tokens = Tokens(old + ratio.log(), old, advantage, mask, torch.tensor([[0] * 4, [1] * 4]))
    sampler = old - torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, np.log(3.0), 0.0, 9.0]], dtype=torch.float64)
    found = statistics("clip", tokens, Clip(0.2, 0.28), entropy=ratio, sampler_log_prob=sampler)
    seen = ratio[mask].numpy()
    assert found == pytest.approx(
        {
            "ratio_mean": seen.mean(),
            "ratio_max": 2.0,
            "approx_kl": np.mean(seen - 1 - np.log(seen)),
            "clip_fraction_low": 2 / 7,  # 0.4 and 0.7 where A < 0; 0.5 is of a good token
            "clip_fraction_high": 2 / 7,  # 1.5 and 1.4 where A > 0; 2.0 is of a bad token
            "entropy": seen.mean(),
            "mismatch_mean": (6 + 3) / 7,
            "mismatch_max": 3.0,
            "mismatch_kl": (3 - 1 - np.log(3)) / 7,
        }
    )
    cispo = statistics("cispo", tokens, Clip(0.55, 0.6))
    assert (cispo["clip_fraction_low"], cispo["clip_fraction_high"]) == pytest.approx((1 / 7, 1 / 7))
    whole = statistics("gspo", tokens, Clip(0.2, 0.28))
    assert whole["ratio_max"] == pytest.approx(max(1.05**0.25, 0.56 ** (1 / 3)))
    assert "clip_fraction_low" not in statistics("reinforce", tokens, UNBOUNDED)
    assert statistics("clip", tokens._replace(mask=torch.zeros_like(mask)), Clip(0.2, 0.2)) == {}
