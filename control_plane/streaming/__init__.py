"""From a stream in Redis to many clients, each given what it can take."""
