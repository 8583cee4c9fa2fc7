"""Every command with wrong and missing arguments: exit code 2 and one sentence, whatever the option."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.faults.conftest import Run
from tests.running import SCRIPTS

NAMES = ("als", "boosting", "dataset", "export", "fit", "recommend", "report", "zoo")
NONSENSE = "no/such/thing"


def commands() -> Iterator[tuple[str, tuple[str, ...], click.Command]]:
    """(script, words that lead to the command, command) of all scripts."""
    for name in NAMES:
        spec = importlib.util.spec_from_file_location(f"scripts_{name}", SCRIPTS / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [value for value in vars(module).values() if isinstance(value, click.Group)]
        if found:
            yield from ((name, (word,), command) for word, command in found[0].commands.items())
        else:
            yield name, (), next(v for v in vars(module).values() if isinstance(v, click.Command))


COMMANDS = list(commands())
IDS = [" ".join((name, *words)) for name, words, _ in COMMANDS]
TYPED = (
    click.types.IntRange,
    click.types.FloatRange,
    click.Choice,
    click.types.IntParamType,
    click.types.FloatParamType,
)


@pytest.mark.parametrize(("name", "words", "command"), COMMANDS, ids=IDS)
def test_an_option_nobody_knows_is_refused(
    run: Run, name: str, words: tuple[str, ...], command: click.Command
) -> None:
    run(name, *words, "--nonsense").refused("--nonsense")


@pytest.mark.parametrize(("name", "words", "command"), COMMANDS, ids=IDS)
def test_what_is_required_is_named_when_it_is_missing(
    run: Run, name: str, words: tuple[str, ...], command: click.Command
) -> None:
    required = [parameter for parameter in command.params if parameter.required]
    if required:
        run(name, *words).refused("Missing")


@pytest.mark.parametrize(("name", "words", "command"), COMMANDS, ids=IDS)
def test_a_value_of_the_wrong_kind_is_refused(
    run: Run, name: str, words: tuple[str, ...], command: click.Command
) -> None:
    for parameter in command.params:
        if (
            isinstance(parameter, click.Option)
            and isinstance(parameter.type, TYPED)
            and not parameter.is_flag
        ):
            run(name, *words, parameter.opts[0], "no-such-value").refused(parameter.opts[0])


@pytest.mark.parametrize(("name", "words", "command"), COMMANDS, ids=IDS)
def test_an_argument_that_is_nowhere_is_refused(
    run: Run, name: str, words: tuple[str, ...], command: click.Command, tmp_path: Path
) -> None:
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    required = [p for p in command.params if isinstance(p, click.Option) and p.required]
    if arguments or required:
        given = [NONSENSE for _ in arguments] + [word for p in required for word in (p.opts[0], NONSENSE)]
        run(name, *words, *given).refused()
