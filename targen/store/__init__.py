"""The database of completions, leases, budgets and table digests."""
