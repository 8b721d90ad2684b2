"""Who talks: language models that learn from verifiable rewards."""
