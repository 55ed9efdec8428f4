"""Who calls and what they may do: users' rows, logins, tokens, passwords, rate limits, keys."""
