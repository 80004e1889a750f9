"""Templates that a build has compiled: the same pages, as safe and as strict."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, UndefinedError

from web import template_environment
from web.template_environment import TEMPLATES, compile_templates, environment


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compile_templates(folder)
    return folder


@pytest.fixture
def compiled(modules: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """The environment of a function whose build has compiled the templates."""
    monkeypatch.setattr(template_environment, "COMPILED", modules)
    environment.cache_clear()
    yield environment()
    environment.cache_clear()


def test_each_template_is_a_module(compiled: Environment) -> None:
    names = [path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")]

    assert len(names) > 40
    for name in names:
        assert compiled.get_template(name).filename != str(TEMPLATES / name)


def test_a_compiled_template_escapes_every_value(compiled: Environment) -> None:
    page = compiled.get_template("session_ended.html")

    text = page.render(address="/", fields=[("reason", "<script>")], zone="UTC")

    assert "&lt;script&gt;" in text
    assert 'value="<script>' not in text


def test_a_value_that_a_compiled_template_misses_is_an_error(compiled: Environment) -> None:
    with pytest.raises(UndefinedError, match="'fields' is undefined"):
        compiled.get_template("session_ended.html").render(address="/", zone="UTC")
