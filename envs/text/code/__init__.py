"""Tasks about programs: to write them, to mend them, and to say what they do."""
