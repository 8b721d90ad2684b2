"""How it is played: the one interface (Agent, Rollout, Reward, Sampler) and the Ray fleet."""
