"""Is each part there and well, how fast is it, and what to do about it."""
