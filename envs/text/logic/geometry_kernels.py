"""Straight lines in the plane as kernels: drawn figures, and all angles that follow from the given ones.

Ray `2 * line + side` is a line's half, which starts wherever an angle has its corner; side 1 goes along the
line's direction, side 0 against it. An angle is the pair of rays of two lines that cross, an entry `[r, s]`
of matrices `[rays, rays]`, which are symmetric; two lines have one corner, so no other name is needed.
`parallel` `[lines]` has each line's group: lines of one group have one direction. `ahead[i, j, k]` is the
side of line i on which it crosses line k, seen from where it crosses line j (-1: it does not cross them).
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below, next_float

VERTICAL, LINEAR, CORRESPONDING, ALTERNATE, INTERIOR, TRIANGLE, EXTERIOR, ISOSCELES = range(8)
"""The rule by which an angle follows."""
GIVEN = -1
FAR = 1 << 20
LEAST = 12
"""Degrees between two lines that cross, at least."""


@kernel
def sides(order, counts, ahead):  # type: ignore[no-untyped-def]
    """Write `ahead` from the `order` `[lines, lines]` in which each line crosses its `counts` others."""
    n = len(order)
    ahead[:] = -1
    for i in range(n):
        for p in range(counts[i]):
            for q in range(counts[i]):
                if p != q:
                    ahead[i, order[i, p], order[i, q]] = 1 if q > p else 0


@kernel
def corner(ahead, i, j, k):  # type: ignore[no-untyped-def]
    """The two rays of a triangle's angle between its sides on the lines i and j."""
    return 2 * i + ahead[i, j, k], 2 * j + ahead[j, i, k]


@kernel
def follow(parallel, ahead, apexes, facts):  # type: ignore[no-untyped-def]
    """All angles that follow, each with the fewest lines that lead to it (lines used twice count twice).

    `facts` are five matrices: the degrees and the number of lines of what is given (0 lines; FAR where an
    angle is not known) and of what follows; the rule; the one or two angles, as `r * rays + s`, that it goes
    by. `apexes` `[k, 3]`: isosceles triangles, (line of one side, line of the other, line of the base).
    """
    changed = True
    while changed:
        changed = _at_points_and_parallels(parallel, facts)
        changed |= _in_triangles(ahead, facts)
        for k in range(len(apexes)):
            changed |= _at_equal_sides(ahead, apexes[k, 0], apexes[k, 1], apexes[k, 2], facts)


@kernel
def learn(facts, r, s, degrees, lines, rule, one, two):  # type: ignore[no-untyped-def]
    """Keep how an angle follows, if that is shorter than what is known."""
    if lines >= facts[1][r, s]:
        return False
    facts[0][r, s] = facts[0][s, r] = degrees
    facts[1][r, s] = facts[1][s, r] = lines
    facts[2][r, s] = facts[2][s, r] = rule
    facts[3][r, s] = facts[3][s, r] = one
    facts[4][r, s] = facts[4][s, r] = two
    return True


@kernel
def _at_points_and_parallels(parallel, facts):  # type: ignore[no-untyped-def]
    rays, changed = 2 * len(parallel), False
    for r in range(rays):
        for s in range(rays):
            if parallel[r // 2] == parallel[s // 2] or facts[1][r, s] >= FAR:
                continue
            same, lines, here = facts[0][r, s], facts[1][r, s] + 1, r * rays + s
            rest = 180 - same
            changed |= learn(facts, r ^ 1, s ^ 1, same, lines, VERTICAL, here, -1)
            changed |= learn(facts, r, s ^ 1, rest, lines, LINEAR, here, -1)
            for t in range(r % 2, rays, 2):
                if t != r and parallel[t // 2] == parallel[r // 2]:
                    changed |= learn(facts, t, s, same, lines, CORRESPONDING, here, -1)
                    changed |= learn(facts, t ^ 1, s ^ 1, same, lines, ALTERNATE, here, -1)
                    changed |= learn(facts, t, s ^ 1, rest, lines, INTERIOR, here, -1)
    return changed


@kernel
def _in_triangles(ahead, facts):  # type: ignore[no-untyped-def]
    n, changed = len(ahead), False
    for i in range(n):
        for j in range(i):
            for k in range(n):
                if k in (i, j) or ahead[i, j, k] < 0 or ahead[j, i, k] < 0:
                    continue
                r, s = corner(ahead, i, j, k)
                one, other = corner(ahead, i, k, j), corner(ahead, j, k, i)
                lines = facts[1][one] + facts[1][other] + 1
                if lines >= FAR:
                    continue
                both, a, b = facts[0][one] + facts[0][other], packed(n, one), packed(n, other)
                changed |= learn(facts, r, s, 180 - both, lines, TRIANGLE, a, b)
                changed |= learn(facts, r ^ 1, s, both, lines, EXTERIOR, a, b)
                changed |= learn(facts, r, s ^ 1, both, lines, EXTERIOR, a, b)
    return changed


@kernel
def _at_equal_sides(ahead, i, j, base, facts):  # type: ignore[no-untyped-def]
    n, changed = len(ahead), False
    top, left, right = corner(ahead, i, j, base), corner(ahead, i, base, j), corner(ahead, j, base, i)
    for foot, other in ((left, right), (right, left)):
        degrees, lines, here = facts[0][foot], facts[1][foot] + 1, packed(n, foot)
        if lines < FAR:
            changed |= learn(facts, other[0], other[1], degrees, lines, ISOSCELES, here, -1)
            changed |= learn(facts, top[0], top[1], 180 - 2 * degrees, lines, ISOSCELES, here, -1)
        if facts[1][top] < FAR:
            degrees, lines, here = (180 - facts[0][top]) // 2, facts[1][top] + 1, packed(n, top)
            changed |= learn(facts, foot[0], foot[1], degrees, lines, ISOSCELES, here, -1)
    return changed


@kernel
def packed(lines, angle):  # type: ignore[no-untyped-def]
    """An angle as one number."""
    return angle[0] * 2 * lines + angle[1]


@kernel
def draw(rng, parallel, isosceles, least, most, order, counts, apexes, givens):  # type: ignore[no-untyped-def]
    """Draw lines with `parallel` groups, and which of their angles are given and asked.

    Writes `order` and `counts` (see `sides`), `apexes` `[0 or 1, 3]` if an `isosceles` triangle is asked for,
    and `givens` `[angles, 3]`: (r, s, degrees), of which the last one is asked; from `least` to `most` lines
    lead to it. Returns how many of `givens` are written.
    """
    n = len(parallel)
    groups = parallel[n - 1] + 1
    direction, at, place = np.empty(groups, np.int64), np.empty((n, 2)), np.empty(n)
    ahead = np.empty((n, n, n), np.int64)
    real, cost = np.empty((2 * n, 2 * n), np.int64), np.empty((2 * n, 2 * n), np.int64)
    facts = np.empty_like(cost), cost, np.empty_like(cost), np.empty_like(cost), np.empty_like(cost)
    while True:
        if not _directions(rng, direction, isosceles):
            continue
        for i in range(n):
            at[i, 0], at[i, 1] = next_float(rng, 0), next_float(rng, 0)
        _cross(parallel, direction, at, place, order, counts)
        sides(order, counts, ahead)
        for r in range(2 * n):
            for s in range(2 * n):
                turn = direction[parallel[r // 2]] - direction[parallel[s // 2]] + 180 * (r % 2 + s % 2)
                turn %= 360
                real[r, s] = min(turn, 360 - turn)
                cost[r, s] = FAR
        if isosceles and not _apex(parallel, ahead, real, apexes):
            continue
        count = 0
        while count < groups - 1 - isosceles:
            r, s = next_below(rng, 0, 2 * n), next_below(rng, 0, 2 * n)
            if parallel[r // 2] == parallel[s // 2] or cost[r, s] < FAR:
                continue
            givens[count, 0], givens[count, 1], givens[count, 2] = r, s, real[r, s]
            learn(facts, r, s, real[r, s], 0, GIVEN, -1, -1)
            follow(parallel, ahead, apexes, facts)
            count += 1
        r, s = _asked(rng, parallel, cost, least, most)
        if r >= 0:
            givens[count, 0], givens[count, 1], givens[count, 2] = r, s, real[r, s]
            return count + 1


@kernel
def _directions(rng, direction, isosceles):  # type: ignore[no-untyped-def]
    """Draw the groups' directions in degrees; whether no two are too near.

    With `isosceles` the third one makes one angle with the first two.
    """
    for g in range(len(direction)):
        direction[g] = next_below(rng, 0, 180)
        if isosceles and g == 2:
            if (direction[0] + direction[1]) % 2:
                return False
            direction[2] = ((direction[0] + direction[1]) // 2 + 90 * next_below(rng, 0, 2)) % 180
        for f in range(g):
            apart = abs(direction[g] - direction[f])
            if min(apart, 180 - apart) < LEAST:
                return False
    return True


@kernel
def _cross(parallel, direction, at, place, order, counts):  # type: ignore[no-untyped-def]
    """In which order each line, through a point `at` `[lines, 2]`, crosses the others."""
    n = len(parallel)
    for i in range(n):
        x, y = np.cos(np.radians(direction[parallel[i]])), np.sin(np.radians(direction[parallel[i]]))
        counts[i] = 0
        for j in range(n):
            if parallel[i] == parallel[j]:
                continue
            u, v = np.cos(np.radians(direction[parallel[j]])), np.sin(np.radians(direction[parallel[j]]))
            place[j] = ((at[j, 0] - at[i, 0]) * v - (at[j, 1] - at[i, 1]) * u) / (x * v - y * u)
            k = counts[i]
            while k > 0 and place[order[i, k - 1]] > place[j]:
                order[i, k] = order[i, k - 1]
                k -= 1
            order[i, k] = j
            counts[i] += 1


@kernel
def _apex(parallel, ahead, real, apexes):  # type: ignore[no-untyped-def]
    """Write the first triangle of the groups 0, 1 and 2 with equal angles at its base, if there is one."""
    n = len(parallel)
    for i in range(n):
        for j in range(n):
            for k in range(n):
                if parallel[i] != 0 or parallel[j] != 1 or parallel[k] != 2:
                    continue
                a, b = corner(ahead, i, k, j)
                d, e = corner(ahead, j, k, i)
                if real[a, b] == real[d, e]:
                    apexes[0, 0], apexes[0, 1], apexes[0, 2] = i, j, k
                    return True
    return False


@kernel
def _asked(rng, parallel, cost, least, most):  # type: ignore[no-untyped-def]
    """An angle to which from `least` to `most` lines lead, or (-1, -1)."""
    n, seen = len(parallel), 0
    r, s = -1, -1
    for a in range(2 * n):
        for b in range(a):
            if parallel[a // 2] != parallel[b // 2] and least <= cost[a, b] <= most:
                seen += 1
                if next_below(rng, 0, seen) == 0:
                    r, s = a, b
    return r, s
