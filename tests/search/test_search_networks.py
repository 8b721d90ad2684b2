import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.networks import from_arrays, seeded, to_arrays
from agents.optim import make_adam
from search.networks import Evaluator, PolicyValueNet, resolve_network

torch.set_num_threads(1)  # networks this small are fastest so

SMALL = {"kind": "resnet", "blocks": 2, "channels": 16, "policy_channels": 4, "value_channels": 4}
MLP = {"kind": "mlp", "hidden": [64, 32]}
CONNECT_FOUR = (6, 7, 3)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def boards(shape, n=40, seed=0):
    return np.random.default_rng(seed).random((n, *shape)) < 0.3


def some_network(shape=CONNECT_FOUR, actions=7, network=SMALL, seed=0):
    """A network whose weights, and whose norms' statistics, are away from their first values."""
    with seeded(seed):
        net = PolicyValueNet(shape, actions, network=network)
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                away = torch.rand_like(tensor) if "norm" in name else 0.1 * torch.randn_like(tensor)
                tensor.add_(away)
    return net.eval()


def plain(net, planes):
    """The tower written out in float64, layer by layer, each norm as its formula."""
    weights = {name: x.double() for name, x in net.state_dict().items()}

    def conv(x, name, skip=0.0):
        kernel = weights[f"body.{name}.conv.weight"]
        mean, variance, scale, shift = (
            weights[f"body.{name}.norm.{key}"][:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        y = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        return F.relu((y - mean) / (variance + 1e-5).sqrt() * scale + shift + skip)

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def squares_first(x):
        return x.permute(0, 2, 3, 1).reshape(len(x), -1)

    x = conv(torch.from_numpy(planes).double().permute(0, 3, 1, 2), "stem")
    for i in range(len(net.body.blocks)):
        x = conv(conv(x, f"blocks.{i}.first"), f"blocks.{i}.second", skip=x)
    hidden = F.relu(dense(squares_first(conv(x, "value")), "body.hidden"))
    logits = dense(squares_first(conv(x, "policy")), "policy")
    return logits.numpy(), torch.tanh(dense(hidden, "value"))[:, 0].numpy()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("one_dnn", [True, False])
def test_folded_equals_the_tower_written_out(precision, one_dnn, monkeypatch):
    if not one_dnn:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    net, planes = some_network(), boards(CONNECT_FOUR)
    logits, values = plain(net, planes)
    assert values.std() > 0.1
    assert logits.std() > 0.1
    tolerance = {"fp32": 1e-4, "bf16": 0.03}[precision]
    given = Evaluator(net, precision=precision)(planes)
    np.testing.assert_allclose(given[0], logits, rtol=tolerance, atol=tolerance * logits.std())
    np.testing.assert_allclose(given[1], values, rtol=tolerance, atol=tolerance)
    with torch.inference_mode():
        unfolded = net(torch.from_numpy(planes))
    np.testing.assert_allclose(unfolded[0], logits, rtol=1e-4, atol=1e-4 * logits.std())


@pytest.mark.parametrize("network", [SMALL, MLP], ids=["resnet", "mlp"])
@pytest.mark.parametrize(
    ("shape", "actions"), [((3, 3, 2), 9), (CONNECT_FOUR, 7), ((9, 9, 17), 82), ((5, 8, 1), 240)]
)
def test_any_board_gives_logits_and_values_in_range(shape, actions, network):
    evaluator = Evaluator(some_network(shape, actions, network))
    planes = boards(shape)
    logits, values = evaluator(planes)
    assert (logits.shape, logits.dtype) == ((40, actions), np.float32)
    assert (values.shape, values.dtype) == ((40,), np.float32)
    assert (np.abs(values) <= 1).all()
    assert values.std() > 0.01
    as_bytes = evaluator(planes.astype(np.uint8))
    np.testing.assert_array_equal(as_bytes[0], logits)
    np.testing.assert_array_equal(as_bytes[1], values)


def test_the_first_policy_is_near_uniform_and_the_first_value_near_nothing():
    with seeded(0):
        evaluator = Evaluator(PolicyValueNet(CONNECT_FOUR, 7))
    logits, values = evaluator(boards(CONNECT_FOUR))
    assert np.ptp(logits, axis=1).max() < 0.3
    assert np.abs(values).max() < 0.3


@pytest.mark.parametrize("network", [SMALL, MLP], ids=["resnet", "mlp"])
def test_a_position_is_worth_the_same_in_any_batch(network):
    evaluator, planes = Evaluator(some_network(network=network)), boards(CONNECT_FOUR, 70)
    logits, values = evaluator(planes)
    for start, stop in [(0, 1), (3, 20), (10, 70), (0, 70)]:
        part = evaluator(planes[start:stop])
        np.testing.assert_allclose(part[0], logits[start:stop], atol=1e-5)
        np.testing.assert_allclose(part[1], values[start:stop], atol=1e-5)
    np.testing.assert_array_equal(evaluator(planes)[0], logits)
    np.testing.assert_allclose(evaluator(planes[::-2])[0], logits[::-2], atol=1e-5)


def test_answers_change_with_load_and_not_before():
    net, planes = some_network(), boards(CONNECT_FOUR)
    evaluator = Evaluator(net)
    before = evaluator(planes)[1]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.9)
    np.testing.assert_array_equal(evaluator(planes)[1], before)
    evaluator.load(net)
    np.testing.assert_allclose(evaluator(planes)[1], plain(net, planes)[1], atol=1e-4)
    assert np.abs(evaluator(planes)[1] - before).max() > 0.01


@pytest.mark.parametrize("network", [SMALL, MLP], ids=["resnet", "mlp"])
def test_weights_go_over_as_arrays(network):
    net, other = some_network(network=network), some_network(network=network, seed=1)
    planes = boards(CONNECT_FOUR)
    assert (Evaluator(net)(planes)[1] != Evaluator(other)(planes)[1]).any()
    from_arrays(other, to_arrays(net))
    for a, b in zip(Evaluator(net)(planes), Evaluator(other)(planes), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"kind": "resnt"}, "network kind 'resnt' is not known; did you mean 'resnet'"),
        ({"block": 3}, "network has no 'block'; did you mean 'blocks'"),
        ({"blocks": 0}, r"network\.blocks must be greater than or equal to 1, not 0"),
        ({"channels": 32.0}, r"network\.channels must be a valid integer, not 32\.0"),
        ({"kind": "mlp", "blocks": 2}, "network has no 'blocks'; it has: hidden"),
        ({"kind": "mlp", "hidden": []}, r"network\.hidden .* at least 1 item"),
    ],
)
def test_a_wrong_network_is_named(network, words):
    with pytest.raises(ValueError, match=words):
        PolicyValueNet(CONNECT_FOUR, 7, network=network)


def test_defaults_are_filled_in():
    assert resolve_network(None)["kind"] == "resnet"
    assert resolve_network({"kind": "mlp"}) == {"kind": "mlp", "hidden": [256, 256]}


def test_planes_of_another_board_are_refused():
    with pytest.raises(ValueError, match=r"are \[batch, 6, 7, 3\], not \(40, 7, 6, 3\)"):
        Evaluator(some_network())(boards((7, 6, 3)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", [SMALL, MLP], ids=["resnet", "mlp"])
def test_it_learns_where_a_stone_lies_and_whose_it_is(network, precision):
    """One stone a board: the action is its column, the value +1 in the first plane and −1 in the second."""
    rng = np.random.default_rng(0)
    with seeded(0):
        net = PolicyValueNet(CONNECT_FOUR, 7, network=network)
    optimiser = make_adam(net, 3e-3, 1e-8)

    def batch(n):
        rows, columns, planes = rng.integers(6, size=n), rng.integers(7, size=n), rng.integers(2, size=n)
        board = np.zeros((n, *CONNECT_FOUR), bool)
        board[np.arange(n), rows, columns, planes] = True
        return board, columns, 1.0 - 2.0 * planes

    for _ in range(50 if network is SMALL else 200):
        board, columns, worth = batch(64)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits, values = net(torch.from_numpy(board))
        assert logits.dtype == values.dtype == torch.float32
        loss = F.cross_entropy(logits, torch.from_numpy(columns))
        loss = loss + F.mse_loss(values, torch.from_numpy(worth).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    board, columns, worth = batch(500)
    logits, values = Evaluator(net, precision=precision)(board)
    assert (logits.argmax(1) == columns).mean() > 0.95
    assert (np.sign(values) == worth).mean() > 0.95
    assert np.abs(values - worth).mean() < 0.4


@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_says_the_same(precision):
    net, planes = some_network(), boards(CONNECT_FOUR)
    logits, values = plain(net, planes)
    given = Evaluator(net, device="cuda", precision=precision)(planes)
    np.testing.assert_allclose(given[0], logits, rtol=0.03, atol=0.03 * logits.std())
    np.testing.assert_allclose(given[1], values, rtol=0.03, atol=0.03)
    assert next(net.parameters()).device.type == "cpu"
