"""Numbers: arithmetic by hand, and reaching a number."""
