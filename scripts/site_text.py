"""The text of docstrings on the site: `scores[q, k] = energy . tanh(W query[q] + b)` set, examples as code."""

import re

GREEK = {"alpha", "beta", "gamma", "mu", "sigma", "tau", "phi", "eta", "Delta", "lam"}
FUNCTIONS = {
    *(
        "tanh",
        "exp",
        "log",
        "ln",
        "sigmoid",
        "softmax",
        "hardmax",
        "sin",
        "max",
        "min",
        "argmin",
        "floor",
        "clip",
        "clamp",
    ),
    *("elu", "relu", "pinv", "conv", "activation", "RMSNorm", "one_hot", "ffn", "KL", "mod", "bucket"),
}
WORDS = {"or", "and", "of", "over", "the", "up", "to", "all", "for", "same"}
SIGNS = {
    "<=": r"\le ",
    ">=": r"\ge ",
    "||": r"\Vert ",
    "|": r"\vert ",
    ".": r"\cdot ",
    "*": r"\ast ",
    "~": r"\propto ",
    "..": r"\dots ",
    "...": r"\dots ",
    "<": "<",
}
TOKEN = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z]*(?:_(?:\{[^}]*\}|[A-Za-z0-9]+(?:,[a-z])?))*(?:\^(?:\((?:[^()]|\([^()]*\))*\)|[A-Za-z0-9]+))?~?(?:\[(?:[^\[\]=]|\[[^\[\]]*\])*\])?)"
    r"|(?P<number>\d[\d,.]*\d|\d)|(?P<power>\^(?:\((?:[^()]|\([^()]*\))*\)|\w+))|(?P<sign><=|>=|\|\||\.\.\.?|[^\s\w])|(?P<space>\s+)"
)
EXAMPLE = re.compile(r"(?:^>>>.*\n?(?:^(?!>>>)\S.*\n?|^(?:  ).*\n?)*)+", re.MULTILINE)
SCROLLS = "display: inline-block; max-width: 100%; overflow-x: auto; vertical-align: bottom"
FORMULA = re.compile(r"[=~^<|]|[a-z]\(| [.*/+] ")


def is_formula(code: str) -> bool:
    """Whether a piece of code in a docstring's first line is mathematics, and not a name."""
    return bool(FORMULA.search(code))


def tex(formula: str) -> str:
    r"""A formula in TeX.

    >>> tex("scores[q, k] = energy . tanh(W query[q] + b)")
    '\\mathrm{scores}_{q, k} = \\mathrm{energy} \\cdot \\operatorname{tanh}(W\\,\\mathrm{query}_{q} + b)'
    """
    pieces: list[str] = []
    formula = re.sub(r"sqrt\(([^()]*)\)", r"√{\1}", formula)
    formula = re.sub(r"sqrt (\w+)", r"√{\1}", formula)
    tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(formula)]
    for place, (kind, text) in enumerate(tokens):
        if kind == "name":
            pieces.append(_name(text))
        elif kind == "space":
            pieces.append(_space(tokens, place))
        elif kind == "power":
            pieces.append(_power(text))
        elif kind == "sign":
            pieces.append({"√": r"\sqrt", "{": "{", "}": "}"}.get(text) or SIGNS.get(text, text))
        else:
            pieces.append(text.replace(",", "{,}"))
    return "".join(pieces).replace("  ", " ").strip()


def _space(tokens: list[tuple[str | None, str]], place: int) -> str:
    """Two factors stand a little apart; around signs the typesetter knows."""
    before, after = tokens[place - 1 : place] or [("", "")], tokens[place + 1 : place + 2] or [("", "")]
    apart = before[0][0] in ("name", "number") or before[0][1] in ("]", ")", "}")
    return r"\," if apart and (after[0][0] in ("name", "number") or after[0][1] in "([√") else " "


def _power(text: str) -> str:
    inner = text[1:].removeprefix("(").removesuffix(")")
    return f"^{{{tex(inner)}}}"


def _name(text: str) -> str:
    """A name with its index, power and place in a tensor."""
    text, _, places = text.partition("[")
    below = [places[:-1]] if places else []
    tilde, text = text.endswith("~"), text.removesuffix("~")
    text, _, power = text.partition("^")
    stem, _, index = text.partition("_")
    if text in FUNCTIONS or (len(stem) > 1 and len(index) > 1 and stem not in {*GREEK, "sum", "prod"}):
        stem, index = text, ""
    index = index.removeprefix("{").removesuffix("}")
    below = [*([index] if index else []), *below]
    if stem == "sum" or stem == "prod":
        return rf"\{stem}_{{{tex(below[0])}}}" if below else rf"\{stem}"
    found = _stem(stem)
    found = rf"\tilde{{{found}}}" if tilde else found
    lower = f"_{{{', '.join(_index(one) for one in below)}}}" if below else ""
    return found + lower + (_power("^" + power) if power else "")


def _index(text: str) -> str:
    return tex(text)


def _stem(name: str) -> str:
    if name in GREEK:
        return r"\lambda" if name == "lam" else f"\\{name}"
    if name in FUNCTIONS:
        return rf"\operatorname{{{name.replace('_', '')}}}"
    if name in WORDS:
        return rf"\text{{ {name} }}"
    if "_" in name:
        return rf"\text{{{name.replace('_', ' ')}}}"
    return name if len(name) == 1 else rf"\mathrm{{{name}}}"


def with_mathematics(line: str) -> str:
    """The first line of a docstring with its formulas as MathML."""
    from latex2mathml.converter import convert

    def mathematics(match: re.Match[str]) -> str:
        if not is_formula(match.group(1)):
            return match.group()
        return f'<span style="{SCROLLS}">{convert(tex(match.group(1)))}</span>'

    return re.sub(r"`([^`]+)`", mathematics, line)


def fenced(text: str) -> str:
    r"""A docstring whose examples stand in fences.

    >>> print(fenced("Sum.\n\n>>> 1 + 1\n2\n"))
    Sum.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    """
    return EXAMPLE.sub(lambda example: f"```pycon\n{example.group().rstrip()}\n```\n", text)
