"""pass@k: many tries at each problem, and what they say of what learning found."""
