"""Who learns by acting: PPO, DQN and their kin."""
