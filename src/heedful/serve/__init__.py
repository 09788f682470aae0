"""A trained translator behind HTTP: requests that come together are decoded together."""
