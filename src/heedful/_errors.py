"""What heedful raises when a person's input, and not its own code, is at fault."""


class HeedfulError(Exception):
    """Any fault a user can cause and mend: the message says what came, where, and the way out."""


class DataError(HeedfulError, ValueError):
    """A data file that is missing, malformed or does not fit its partner."""


class RecipeError(HeedfulError, ValueError):
    """A recipe with a misspelt key, a wrong type or a value out of range."""


class ModelFolderError(HeedfulError, ValueError):
    """A model folder that lacks a file, was cut off or belongs to another version."""


class OutputError(HeedfulError, OSError):
    """An output folder that cannot be written."""
