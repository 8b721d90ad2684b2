"""Go, written to be read: what the kernels are held to."""

from __future__ import annotations

import itertools

import numpy as np

from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON


class Plain:
    """One game: sets of cells, and whole boards to compare with earlier ones."""

    def __init__(self, size: int, komi: float):
        self.size, self.komi, self.passes, self.plies = size, komi, 0, 0
        self.board = (0,) * size**2  # 0 empty, 1 the first player's, 2 the second's
        self.seen = {self.board}
        self.banned: set[int] = set()  # by superko alone, when last asked
        self.last: int | None = None
        self.near = [list(self._cells(cell, 1)) for cell in range(size**2)]
        self.corners = [list(self._cells(cell, 2)) for cell in range(size**2)]

    def _cells(self, cell, distance):
        row, column = divmod(cell, self.size)
        for r, c in itertools.product(range(self.size), repeat=2):
            if (r - row) ** 2 + (c - column) ** 2 == distance:
                yield r * self.size + c

    @property
    def mover(self):
        return 1 + self.plies % 2

    @property
    def over(self):
        return self.passes == 2 or self.plies == 2 * self.size**2

    def chain(self, board, cell):
        """The cells of one colour (or empty ones) that hang together, and those that border on them."""
        chain, border, todo = {cell}, set(), [cell]
        while todo:
            for other in self.near[todo.pop()]:
                if board[other] != board[cell]:
                    border.add(other)
                elif other not in chain:
                    chain.add(other)
                    todo.append(other)
        return chain, border

    def liberties(self, board, cell):
        return {c for c in self.chain(board, cell)[1] if board[c] == 0}

    def after(self, cell):
        """The board after a stone of the mover, or None where that is suicide."""
        board = list(self.board)
        board[cell] = self.mover
        for other in self.near[cell]:
            if board[other] == 3 - self.mover and not self.liberties(board, other):
                for taken in self.chain(board, other)[0]:
                    board[taken] = 0
        return tuple(board) if self.liberties(board, cell) else None

    def legal(self):
        afters = {c: self.after(c) for c in range(self.size**2) if self.board[c] == 0 and not self.over}
        self.banned = {cell for cell, board in afters.items() if board in self.seen}
        cells = [cell for cell, board in afters.items() if board and board not in self.seen]
        return cells if self.over else [*cells, self.size**2]

    def play(self, action):
        if action < self.size**2:
            self.board = self.after(action)
            self.seen.add(self.board)
        self.passes = self.passes + 1 if action == self.size**2 else 0
        self.plies += 1
        self.last = action

    def area(self):
        """Of the first player less the second's."""
        score = 0
        for cell, man in enumerate(self.board):
            owners = {man} if man else {self.board[c] for c in self.chain(self.board, cell)[1]}
            score += (owners == {1}) - (owners == {2})
        return score

    def outcome(self):
        score = self.area() - self.komi
        return OPEN if not self.over else DRAW if score == 0 else FIRST_WON if score > 0 else SECOND_WON

    def planes(self):
        board, legal = np.array(self.board), self.legal()
        atari = [man != 0 and len(self.liberties(self.board, c)) == 1 for c, man in enumerate(self.board)]
        cells = np.arange(self.size**2)
        first = np.full(self.size**2, self.mover == 1)
        shown = [board == self.mover, board == 3 - self.mover, atari, np.isin(cells, legal)]
        return np.stack([*shown, cells == self.last, first], -1).reshape(self.size, self.size, -1)

    def sensible(self):
        """What a playout may choose."""
        return [cell for cell in self.legal()[:-1] if not self.eye(cell)] or [self.size**2]

    def eye(self, cell):
        against = sum(self.board[c] == 3 - self.mover for c in self.corners[cell])
        own = all(self.board[c] == self.mover for c in self.near[cell])
        return own and against <= (len(self.corners[cell]) == 4)
