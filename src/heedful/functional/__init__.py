"""Pure tensor verbs shared by several mechanisms."""
