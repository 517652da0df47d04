"""The one exception that means: the input is wrong, and here is the sentence to show the user."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """Bad input. The message is one sentence: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


def describe(error: "ValidationError") -> str:
    """The first problem of a pydantic validation, in one line: ``key 'lr': Input should be a number``."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}; remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"key {where!r} is missing"
    return f"key {where!r}: {message} (found {problem['input']!r:.60})" if where else message
