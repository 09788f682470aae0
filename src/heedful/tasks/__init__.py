"""Data + model + loss + metric + recipe: translation."""
