"""Everything that parses strangers' bytes: weights, cards, downloads, and the pickle reader that runs nothing."""
