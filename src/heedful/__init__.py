"""Every attention mechanism behind one interface, exact and fast."""

__version__ = "0.1.0"
