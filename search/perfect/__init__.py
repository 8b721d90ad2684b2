"""Perfect players: what every move of a position is worth, exactly."""
