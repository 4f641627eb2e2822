"""The embedded textbook: text about small closed worlds, questions about it, and a model pretrained on it."""
