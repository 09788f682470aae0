"""Messages about bad input that the PyTorch and Keras layers share; loads neither of them.

Each function returns the error to raise: what came, what was expected, the way out.
"""

from collections.abc import Sequence
from numbers import Real

Shape = Sequence[int | None]
SEQUENCE = "[batch, steps, features]"
_ALL_STEPS = "a recurrent layer must return all its steps (in Keras return_sequences=True)."


class WrongTypeError(TypeError, ValueError):
    """A tensor of the wrong dtype; a TypeError in Python and a ValueError in Keras, so this is both.

    >>> try:
    ...     raise not_boolean("float32")
    ... except ValueError as error:
    ...     print(isinstance(error, TypeError))
    True
    """


def not_a_sequence(shape: Shape, axes: str = SEQUENCE) -> ValueError:
    """The shape lacks the three axes of a batch of sequences."""
    return ValueError(
        f"the sequence has shape {tuple(shape)}; expected {axes}. For one sequence write sequence[None]; {_ALL_STEPS}"
    )


def not_three_axes(name: str, shape: Shape, axes: str) -> ValueError:
    """Query, key or value does not have three axes."""
    return ValueError(
        f"{name} has shape {tuple(shape)}; expected {axes}. For one of them in each batch item write {name}[:, None]; "
        f"{_ALL_STEPS}"
    )


def not_a_vector(shape: Shape, other_layer: str) -> ValueError:
    """The shape is not that of a batch of vectors; `other_layer` takes sequences."""
    return ValueError(
        f"the input has shape {tuple(shape)}; expected [batch, features]. For sequences use {other_layer} or a pooling."
    )


def no_steps(shape: Shape, name: str = "the sequence", axes: str = SEQUENCE) -> ValueError:
    """The sequence has no steps."""
    return ValueError(
        f"{name} has shape {tuple(shape)}, no steps; expected {axes} with at least one step. Leave empty sequences "
        "out, or hide them by a mask."
    )


def too_long(steps: int, most: int, argument: str) -> ValueError:
    """The layer has weights for fewer steps, as `argument` said."""
    return ValueError(
        f"the sequence has {steps} steps; the layer expected at most {most}. Build it with {argument}={steps}, or cut "
        "the sequence."
    )


def not_floats(dtype: object, name: str = "the sequence") -> WrongTypeError:
    """Integers, which are usually token ids."""
    return WrongTypeError(
        f"{name} is {_dtype(dtype)}; expected floating-point features. Put an embedding before, or cast it."
    )


def not_a_tensor(name: str, given: object) -> WrongTypeError:
    """A list, an array or `None`."""
    return WrongTypeError(f"{name} is a {type(given).__name__}; expected a tensor. Write torch.as_tensor({name}).")


def not_whole(dtype: object, name: str) -> WrongTypeError:
    """Numbers that are no ids or lengths."""
    return WrongTypeError(f"{name} is {_dtype(dtype)}; expected whole numbers. Write `{name}.long()`.")


def not_boolean(came: object, name: str = "mask") -> WrongTypeError:
    """A mask of numbers; `came` is a dtype, or says what else it is."""
    return WrongTypeError(f"{name} is {_dtype(came)}; a mask is boolean, True = may look. Write `mask=numbers > 0`.")


def mask_misfits(shape: Shape, sizes: Shape, axes: str = "[batch, steps]", name: str = "mask") -> ValueError:
    """A mask of another shape than what it belongs to."""
    return ValueError(
        f"{name} has shape {tuple(shape)}; expected {axes} = {list(sizes)}. It has one entry for each step, True = a "
        "real step."
    )


def other_features(name: str, came: int, who: str, expected: int) -> ValueError:
    """The weights of `who` are for another number of features."""
    return ValueError(
        f"{name} has {came} features; {who} expected {expected}. Build it for {came}, or project {name} to {expected}."
    )


def no_direct_comparison(key: int, query: int, who: str, instead: str) -> ValueError:
    """Query and key differ in features, and `who` has no matrix between them."""
    return ValueError(f"key has {key} features but query has {query}; {who} compares them directly. Use {instead}.")


def other_batch(query: int, key: int) -> ValueError:
    """Query and key differ in batch items."""
    return ValueError(f"query has {query} batch items but key has {key}; expected the same number.")


def not_a_value_for_each_key(value: Shape, key: Shape) -> ValueError:
    """Value and key differ in batch items or steps."""
    return ValueError(
        f"value has shape {tuple(value)}; expected [batch, keys, value_dim] = [{key[0]}, {key[1]}, any], one value for "
        "each key."
    )


def unknown_choice(name: str, given: object, expected: Sequence[str]) -> ValueError:
    """An unknown name for an option."""
    return ValueError(f"{name} is {given!r}; expected one of {', '.join(map(repr, expected))}.")


def no_size(name: str, given: object, least: int = 1) -> ValueError:
    """A size that is not a positive integer."""
    return ValueError(f"{name} is {given!r}; expected a whole number (int) from {least} up.")


def check_sizes(least: int = 1, **sizes: object) -> None:
    """Refuse what is no whole number from `least` up.

    Raises:
        ValueError: names the first such size.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < least:
            raise no_size(name, size, least)


def check_numbers(**numbers: object) -> None:
    """Refuse what is no number.

    Raises:
        WrongTypeError: names the first such.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Real):
            raise WrongTypeError(f"{name} is {number!r}; expected a number.")


def check_part(name: str, given: object, kind: type, example: str) -> None:
    """Refuse what is no built `kind`, such as its name or its class.

    Raises:
        WrongTypeError: says what came, and what builds one.
    """
    if isinstance(given, kind):
        return
    came = repr(given) if isinstance(given, str) else f"of the type {type(given).__name__}"
    came = f"the class {given.__name__} itself" if isinstance(given, type) else came
    build = f"{given.__name__}(...)" if isinstance(given, type) and issubclass(given, kind) else example
    raise WrongTypeError(f"{name} is {came}; expected an instance of {kind.__name__}. Build one, as {build} does.")


def no_share(given: object) -> ValueError:
    """A dropout outside [0, 1)."""
    return ValueError(f"dropout is {given!r}; expected a share of the weights from 0 to below 1.")


def other_energies(score: str, given: int, normalizer: str, read: int) -> ValueError:
    """A normaliser reads more scores of each key than are given, or fewer."""
    two = f"a normalizer that reads {given}, such as ChunkwiseNormalizer" if given == 2 else f"a score with {read}"
    instead = "PairedScore(first, second)" if read > given else two
    return ValueError(
        f"{score} gives {given} {'score' if given == 1 else 'scores'} of each key, but {normalizer} reads {read}; "
        f"expected the same number. Use {instead}."
    )


def no_part_of_a_pair(score: str) -> ValueError:
    """A score with a state of its own, or of two scores."""
    return ValueError(
        f"{score} depends on earlier queries or is a pair itself; expected a score of one query and one key. Use "
        "NormalizedAdditiveScore."
    )


def a_scaled_choice(window: str, normalizer: str) -> ValueError:
    """A gain on a normaliser that chooses one key: the scaled weight is no longer a choice."""
    return ValueError(
        f"{window} multiplies the weights, but {normalizer} chooses one key of weight 1; a scaled choice is none. Use "
        f"SoftmaxNormalizer with {window}, or a window without a gain, such as LocalMonotonicWindow."
    )


def bounded_log_odds(score: str, normalizer: str) -> ValueError:
    """Scores that stay within limits, where log-odds are read: no chance could come near 0 or 1."""
    return ValueError(
        f"{normalizer} reads scores as log-odds, but those of this {score} stay within fixed limits. Give {score} a "
        "learned sharpness and an offset, or use NormalizedAdditiveScore with an offset."
    )


def no_log_weights(score: str, normalizer: str) -> ValueError:
    """Any scores, where logarithms of weights are read: their exponentials have no bound."""
    return ValueError(
        f"{normalizer} reads scores as logarithms of weights, but those of {score} are none. Use SoftmaxNormalizer "
        f"with {score}, or {normalizer} with GaussianMixtureScore."
    )


def dropped_twice(normalizer: str) -> ValueError:
    """Dropout on weights of which most are left out already, with a gradient as if none were."""
    return ValueError(
        f"{normalizer} gives the weights that it leaves out a gradient, and dropout would leave out others; expected "
        f"one of the two. Use dropout=0, or {normalizer} without straight_through."
    )


def _dtype(came: object) -> str:
    return str(came).removeprefix("torch.")


def not_on_cpu(shape: Shape, device: object) -> ValueError:
    """A tensor on another device, given to a CPU kernel."""
    return ValueError(
        f"a tensor {list(shape)} on device {device} came to a CPU kernel; tensors on the CPU were expected. "
        "Move it with .cpu(), or call heedful.functional, which takes the path for the device."
    )
