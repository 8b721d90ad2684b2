"""Logic: what follows, and what must be so."""
