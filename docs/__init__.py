"""The manual, and the code that writes its reference pages."""
