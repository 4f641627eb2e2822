"""Talking to a model: one question on the command line, a server with OpenAI's interface, and a page for a browser."""
