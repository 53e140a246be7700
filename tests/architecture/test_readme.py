"""What README.md promises about the settings is what jwtpizza/settings.py reads."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
BY_SCRIPTS = {"PORT", "FACTORY_PORT", "SANDBOX_DIR"}
IN_WORDS = {"a public one", "this machine", "`db.sqlite3` here", "none", "the commit here", "`.run` here"}


def read_settings():
    """The name of each variable that is read, with its default where that is written out."""
    found = {}
    for call in ast.walk(ast.parse((PROJECT / "jwtpizza/settings.py").read_text())):
        if isinstance(call, ast.Call) and re.fullmatch(r"env\.\w+", ast.unparse(call.func)):
            (default,) = [word.value for word in call.keywords if word.arg == "default"]
            if isinstance(default, ast.IfExp):  # another one in production
                default = default.orelse
            found[call.args[0].value] = default
    return found


def documented():
    rows = re.findall(r"^\| `([A-Z_]+)`(?: †)? \| (.*?) \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    return dict(rows)


def test_each_setting_is_in_the_readme_and_each_in_the_readme_is_a_setting():
    assert set(documented()) == set(read_settings()) | BY_SCRIPTS


def test_the_defaults_are_those_of_the_readme():
    for name, default in read_settings().items():
        told = documented()[name]
        if told not in IN_WORDS:
            value = eval(ast.unparse(default), {"DEVELOPMENT_API_KEY": "practice-factory-key"})
            assert told == f"`{str(value).lower() if isinstance(value, bool) else value}`", name


def test_what_stops_a_start_in_production_is_marked():
    marked = set(re.findall(r"^\| `([A-Z_]+)` † \|", (PROJECT / "README.md").read_text(), re.MULTILINE))
    assert marked == {"SECRET_KEY", "ALLOWED_HOSTS", "FACTORY_URL", "FACTORY_API_KEY"}


def test_the_procfile_starts_as_many_web_processes_as_the_settings_reckon_with():
    [default] = re.findall(r"--workers \$\{WEB_CONCURRENCY:-(\d+)\}", (PROJECT / "Procfile").read_text())
    assert int(default) == ast.literal_eval(read_settings()["WEB_CONCURRENCY"])
