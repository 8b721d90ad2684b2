"""Who looks ahead: tree search, solvers, tournaments and ratings."""
