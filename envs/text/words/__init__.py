"""Words and letters."""
