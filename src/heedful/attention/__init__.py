"""Everything that is attention."""
