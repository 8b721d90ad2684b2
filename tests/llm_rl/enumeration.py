"""A language so small that every output can be listed, so that expectations and their gradients are exact.

Tokens are a, b and END. An output ends with END, or is cut after three tokens. A policy is a table of logits
`[7, 3]`: a row for each of the prefixes that can be gone on from. Plain functions here go through outputs and
tokens one by one, and take tables of complex numbers: the derivative of such a function by x is its imaginary
part at x + ih, divided by h (Squire and Trapp, 1998), with no error but rounding, and owes nothing to torch.
"""

import itertools

import numpy as np
import torch

TOKENS, END, LONGEST = 3, 2, 3
PREFIXES = [p for n in range(LONGEST) for p in itertools.product(range(END), repeat=n)]
ROW = {prefix: row for row, prefix in enumerate(PREFIXES)}
OUTPUTS = [
    (*prefix, token) for prefix in PREFIXES for token in range(TOKENS) if token == END or len(prefix) == 2
]
LENGTHS = np.array([len(output) for output in OUTPUTS])
RETURNS = np.random.default_rng(1).normal(size=len(OUTPUTS)).round(2)


def padded(lists, fill):
    out = np.full((len(lists), LONGEST), fill)
    for row, values in zip(out, lists):
        row[: len(values)] = values
    return torch.as_tensor(out)


TOKEN = padded(OUTPUTS, 0)
STATE = padded([[ROW[o[:t]] for t in range(len(o))] for o in OUTPUTS], 0)
MASK = padded([[1] * len(o) for o in OUTPUTS], 0).bool()
SEQUENCE = torch.arange(len(OUTPUTS))[:, None].expand(-1, LONGEST)


def table(seed, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(len(PREFIXES), TOKENS))


# -- plain ---------------------------------------------------------------------------------------------------


def log_probs(logits):
    """`[outputs][token]`: the log-probability of every token of every output, as (complex) numbers."""
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return [[log_p[ROW[o[:t]], o[t]] for t in range(len(o))] for o in OUTPUTS]


def probabilities(logits):
    """Of every output."""
    return np.array([np.exp(sum(row)) for row in log_probs(logits)])


def expected_return(logits, returns=RETURNS):
    return sum(p * r for p, r in zip(probabilities(logits), returns))


def divergence(logits, other):
    """KL(logits ‖ other) between the two's outputs."""
    pairs = zip(probabilities(logits), log_probs(logits), log_probs(other))
    return sum(p * (sum(mine) - sum(its)) for p, mine, its in pairs)


def token_divergence(logits, other, visits):
    """Σ over prefixes of visits · KL(logits ‖ other) of the next token."""
    mine, its = (np.log(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)) for x in (logits, other))
    return (visits * (np.exp(mine) * (mine - its)).sum(axis=1)).sum()


def visits(logits):
    """How often each prefix is gone on from, on average."""
    out = np.zeros(len(PREFIXES))
    for p, output in zip(probabilities(logits), OUTPUTS):
        for t in range(len(output)):
            out[ROW[output[:t]]] += p.real
    return out


def value_and_gradient(function, logits):
    """Of `function(table) -> number`, which never takes the real part of what is to be differentiated."""
    gradient = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        moved = logits.astype(complex)
        moved[place] += 1e-30j
        gradient[place] = function(moved).imag / 1e-30
    return function(logits.astype(complex)).real, gradient


# -- torch ---------------------------------------------------------------------------------------------------


def score(logits):
    """`[15, 3]`: the log-probability of every token of every output, with gradient; 0 after the end."""
    return torch.where(MASK, logits.log_softmax(1)[STATE, TOKEN], 0.0)


def torch_value_and_gradient(function, logits):
    """Of `function(scores [15, 3]) -> scalar tensor`, by autograd."""
    parameter = torch.tensor(logits, requires_grad=True)
    value = function(score(parameter))
    value.backward()
    return value.item(), parameter.grad.numpy()
