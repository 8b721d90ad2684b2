"""The peer of `benchmarks.search` and `benchmarks.memory`: mctx searching pgx's games, all of it jitted.

The network is the one of `search.networks`, in plain jax with norms folded: a tower of residual blocks, a 1×1
convolution and dense layers for each head.
"""

from __future__ import annotations

import math
import os
from typing import Any

from benchmarks.race import Turn

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import mctx
import pgx

NODES = 1001
"""Of the tree whose arrays are measured: a number that no other axis has."""
POLICIES = {"puct": mctx.muzero_policy, "gumbel": mctx.gumbel_muzero_policy}


def network(env: Any, blocks: int, channels: int, head: int = 16, hidden: int = 64) -> tuple[Any, Any]:
    """Random weights, and `apply(weights, planes [B, H, W, C]) -> (logits [B, A], values [B])`."""
    height, width, planes = env.observation_shape
    cells = height * width
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 2 * blocks + 6))

    def layer(*shape: int) -> tuple[Any, Any]:
        scale = math.sqrt(2.0 / math.prod(shape[:-1]))
        return scale * jax.random.normal(next(keys), shape), jnp.zeros(shape[-1])

    weights = {
        "stem": layer(3, 3, planes, channels),
        "tower": [[layer(3, 3, channels, channels) for _ in range(2)] for _ in range(blocks)],
        "heads": [layer(1, 1, channels, head) for _ in range(2)],
        "policy": layer(cells * head, env.num_actions),
        "value": [layer(cells * head, hidden), layer(hidden, 1)],
    }

    def conv(x: Any, layer: Any) -> Any:
        return (
            jax.lax.conv_general_dilated(
                x, layer[0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            + layer[1]
        )

    def dense(x: Any, layer: Any) -> Any:
        return x @ layer[0] + layer[1]

    def apply(weights: Any, planes: Any) -> Any:
        x = jax.nn.relu(conv(planes.astype(jnp.float32), weights["stem"]))
        for first, second in weights["tower"]:
            x = jax.nn.relu(x + conv(jax.nn.relu(conv(x, first)), second))
        policy, value = (jax.nn.relu(conv(x, layer)).reshape(len(x), -1) for layer in weights["heads"])
        value = dense(jax.nn.relu(dense(value, weights["value"][0])), weights["value"][1])
        return dense(policy, weights["policy"]), jnp.tanh(value[:, 0])

    return weights, apply


def constant(env: Any) -> tuple[Any, Any]:
    """The same of no network at all: a uniform policy, and a value of 0."""
    return (), lambda _, planes: (jnp.zeros((len(planes), env.num_actions)), jnp.zeros(len(planes)))


def opened(env: Any, games: int, plies: int) -> Any:
    """Positions after so many random plies."""

    def play(state: Any, key: Any) -> Any:
        legal = jnp.where(state.legal_action_mask, 0.0, -jnp.inf)
        return jax.vmap(env.step)(state, jax.random.categorical(key, legal, axis=1))

    state = jax.vmap(env.init)(jax.random.split(jax.random.PRNGKey(1), games))
    for key in jax.random.split(jax.random.PRNGKey(2), plies):
        state = jax.jit(play)(state, key)
    return state


def search(env: Any, apply: Any, rule: str, simulations: int) -> Any:
    """`run(weights, state, key)`: mctx's output, as pgx's own AlphaZero example asks for it."""

    def evaluate(weights: Any, state: Any) -> tuple[Any, Any]:
        logits, value = apply(weights, state.observation)
        return jnp.where(state.legal_action_mask, logits, jnp.finfo(logits.dtype).min), value

    def recurrent(weights: Any, key: Any, action: Any, state: Any) -> Any:
        mover = state.current_player
        state = jax.vmap(env.step)(state, action)
        logits, value = evaluate(weights, state)
        return mctx.RecurrentFnOutput(
            reward=state.rewards[jnp.arange(len(mover)), mover],
            discount=jnp.where(state.terminated, 0.0, -1.0),
            prior_logits=logits,
            value=jnp.where(state.terminated, 0.0, value),
        ), state

    def run(weights: Any, state: Any, key: Any) -> Any:
        logits, value = evaluate(weights, state)
        root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state)
        illegal = ~state.legal_action_mask
        return POLICIES[rule](weights, key, root, recurrent, simulations, invalid_actions=illegal)

    return run


def turn_of(env: Any, net: tuple[Any, Any], rule: str, games: int, simulations: int, plies: int) -> Turn:
    """A search of all games at once."""
    weights, apply = net
    run = search(env, apply, rule, simulations)
    chosen = jax.jit(lambda *given: (lambda out: (out.action, out.action_weights))(run(*given)))
    state, key = opened(env, games, plies), jax.random.PRNGKey(3)

    def turn() -> int:
        nonlocal key
        key, own = jax.random.split(key)
        jax.block_until_ready(chosen(weights, state, own))
        return games * simulations

    return turn


def node_bytes(name: str) -> int:
    """Bytes that mctx keeps for a node of a pgx game, its position among them."""
    env = pgx.make(name)  # type: ignore[arg-type]
    weights, apply = constant(env)
    keys = jax.random.split(jax.random.PRNGKey(0), 1)
    run = search(env, apply, "puct", NODES - 1)
    return tree_bytes(jax.eval_shape(run, weights, jax.eval_shape(jax.vmap(env.init), keys), keys[0]))


def empty_node_bytes(actions: int) -> int:
    """The same without a position, of any game with so many actions."""

    def recurrent(weights: Any, key: Any, action: Any, state: Any) -> Any:
        zero, logits = jnp.zeros(1), jnp.zeros((1, actions))
        return mctx.RecurrentFnOutput(reward=zero, discount=zero, prior_logits=logits, value=zero), state

    def run(key: Any) -> Any:
        root = mctx.RootFnOutput(prior_logits=jnp.zeros((1, actions)), value=jnp.zeros(1), embedding=())
        return mctx.muzero_policy((), key, root, recurrent, NODES - 1)

    return tree_bytes(jax.eval_shape(run, jax.random.PRNGKey(0)))


def tree_bytes(output: Any) -> int:
    """Bytes a node of the shapes that a search of one game gives."""
    arrays = [x for x in jax.tree.leaves(output.search_tree) if x.shape[:2] == (1, NODES)]
    return sum(math.prod(x.shape[2:]) * x.dtype.itemsize for x in arrays)
