import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium import spaces

from agents.networks import from_arrays, make_encoder, orthogonal_, resolve_network, seeded, to_arrays

GRID = spaces.Box(0, 1, (10, 9, 4), bool)
PIXELS = spaces.Box(0, 255, (4, 84, 84), np.uint8)
COLOUR = spaces.Box(0, 255, (96, 96, 3), np.uint8)
VECTOR = spaces.Box(-1, 1, (5,))
BOARD = spaces.Dict(planes=spaces.Box(0, 1, (3, 3, 2), np.int8), action_mask=spaces.MultiBinary(9))


def batch(space, n=3):
    space.seed(0)
    return torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(n)]))


@pytest.mark.parametrize(
    ("space", "kind", "features"),
    [
        (GRID, "grid", 128),
        (PIXELS, "pixels", 512),
        (COLOUR, "pixels", 512),
        (VECTOR, "vector", 64),
        (spaces.Discrete(7, start=-3), "vector", 64),
        (spaces.Box(0, 255, (128,), np.uint8), "vector", 64),
    ],
)
def test_the_space_picks_the_network(space, kind, features):
    encoder = make_encoder(space)
    assert resolve_network(space, None)["kind"] == kind
    out = encoder(batch(space))
    assert out.dtype == torch.float32
    assert out.shape == (3, features) == (3, encoder.out_features)


def test_a_dict_is_seen_by_its_planes():
    assert make_encoder(BOARD)(batch(BOARD["planes"])).shape == (3, 128)
    with pytest.raises(ValueError, match="needs `planes`; this one has hand"):
        make_encoder(spaces.Dict(hand=VECTOR))


def test_the_grid_network_is_a_convolution_over_rows_and_columns():
    encoder, obs = make_encoder(GRID, {"channels": 6, "hidden": 32}), batch(GRID)
    weight = encoder.conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    x = obs.float().numpy()
    picture = np.zeros((3, 8, 7, 6), np.float32)
    for row in range(8):
        for column in range(7):
            window = x[:, row : row + 3, column : column + 3]
            picture[:, row, column] = np.einsum("byxc,ocyx->bo", window, weight.detach().numpy())
    plain = F.relu(torch.from_numpy(picture) + encoder.conv.bias).reshape(3, -1)
    torch.testing.assert_close(encoder(obs), F.relu(encoder.dense(plain)), rtol=1e-4, atol=1e-5)


def test_pixels_are_scaled_and_both_layouts_are_one_network():
    encoder, obs = make_encoder(PIXELS), batch(PIXELS)
    torch.testing.assert_close(encoder(obs), encoder(obs.float() / 255), rtol=1e-4, atol=1e-5)
    last = make_encoder(spaces.Box(0, 255, (84, 84, 4), np.uint8))
    from_arrays(last, to_arrays(encoder))
    torch.testing.assert_close(last(obs.permute(0, 2, 3, 1).contiguous()), encoder(obs), rtol=1e-4, atol=1e-5)


def test_pictures_have_as_many_planes_as_they_like_in_either_layout_and_kind_of_number():
    stack = spaces.Box(0, 255, (84, 84, 12), np.uint8)
    encoder, obs = make_encoder(stack), batch(stack, 2)
    assert encoder.conv1.in_channels == 12
    first = make_encoder(spaces.Box(0, 1, (12, 84, 84)), {"kind": "pixels"})
    from_arrays(first, to_arrays(encoder))
    floats = obs.permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(first(floats), encoder(obs), rtol=1e-4, atol=1e-5)


def test_a_grid_that_only_seems_to_have_its_planes_first_may_say_so():
    flat = spaces.Box(0, 1, (4, 10, 10))
    assert make_encoder(flat, {"kind": "grid"}).conv.in_channels == 10


def test_a_discrete_observation_is_seen_one_hot():
    space = spaces.Discrete(3, start=5)
    encoder = make_encoder(space, {"hidden": [4]})
    torch.testing.assert_close(
        encoder(torch.tensor([5, 7])), torch.tanh(encoder.layers[0](torch.eye(3)[[0, 2]]))
    )


@pytest.mark.parametrize(
    ("space", "network", "words"),
    [
        (GRID, {"kind": "gird"}, "'gird' is not known; did you mean 'grid'"),
        (GRID, {"kind": ["grid"]}, "is not known; .*"),
        (GRID, {"chanels": 8}, "network has no 'chanels'; did you mean 'channels'"),
        (GRID, {"channels": -1}, r"network\.channels must be greater than or equal to 1, not -1"),
        (GRID, {"hidden": [8]}, r"network\.hidden must be a valid integer, not \[8\]"),
        (VECTOR, {"hidden": [4, 0]}, r"network\.hidden must be greater than or equal to 1, not 0"),
        (VECTOR, {"activation": "relo"}, r"network\.activation must be 'tanh', 'relu' or 'silu', not 'relo'"),
        (VECTOR, {"kind": "grid"}, "3 axes"),
        (GRID, {"kind": "pixels"}, "36 pixels a side at least"),
        (spaces.Box(0, 1, (2, 84, 84)), {"kind": "grid"}, "3 pixels a side at least"),
        (spaces.Box(0, 255, (84, 84, 84), np.uint8), {"kind": "vectr"}, "did you mean 'vector'"),
        (spaces.Box(0, 1, (4, 84, 84)), None, r"shape \(4, 84, 84\) look as if planes came first.*kind"),
        (spaces.Box(0, 1, (4, 10, 10)), {"channels": 8}, "look as if planes came first"),
        (spaces.Text(3), None, "no network for observations in Text"),
    ],
)
def test_a_wrong_network_is_named(space, network, words):
    with pytest.raises(ValueError, match=words):
        make_encoder(space, network)


def test_orthogonal_layers_have_the_gain():
    encoder = make_encoder(GRID)
    orthogonal_(encoder, 2.0)
    dense, filters = encoder.dense.weight, encoder.conv.weight.flatten(1)
    torch.testing.assert_close(dense @ dense.T, 4 * torch.eye(128), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(filters @ filters.T, 4 * torch.eye(16), rtol=1e-4, atol=1e-4)
    assert (encoder.dense.bias == 0).all()


def test_weights_of_another_architecture_are_refused_before_anything_changes():
    encoder = make_encoder(VECTOR)
    before, other = to_arrays(encoder), to_arrays(make_encoder(VECTOR, {"hidden": [64, 32]}))
    with pytest.raises(ValueError, match=r"layers\.2\.weight is \(32, 64\), not \(64, 64\)"):
        from_arrays(encoder, other)
    with pytest.raises(ValueError, match="conv is not part of this network"):
        from_arrays(encoder, before | {"conv": np.zeros(1)})
    with pytest.raises(ValueError, match=r"layers\.0\.weight is missing"):
        from_arrays(encoder, {})
    assert all((before[name] == array).all() for name, array in to_arrays(encoder).items())


def test_seeded_draws_leave_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeded(5):
        inside = torch.rand(2)
    with seeded(5):
        assert torch.equal(torch.rand(2), inside)
    assert torch.equal(torch.rand(2), expected)
