"""`script/check` refuses migrations that the code of before can't serve beside."""

import re
import sysconfig
from collections import defaultdict

import pytest

from tests.e2e import books

pytestmark = pytest.mark.slow

HEAD = """
from django.db import migrations, models
from django.utils import timezone
from jwtpizza import operations

def nothing(apps, schema_editor):
    pass

class Migration(migrations.Migration):
    dependencies = [("menu", "{before}")]
"""
EXTRA = """migrations.CreateModel("Extra", [
    ("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=9)),
    ("pizza", models.ForeignKey("menu.MenuItem", on_delete=models.PROTECT)),
])"""
FEW = 'models.CheckConstraint(condition=models.Q(position__lt=10**6), name="few")'
BY_POSITION = 'models.Index(fields=["position"], name="by_position")'
EXTRA_FOREIGN = '"menu.Extra", models.PROTECT, null=True, db_index=False'
FILLS = "update menu_menuitem set title = '' where title is null"


def says(sql):
    return f"migrations.RunSQL({sql!r}, migrations.RunSQL.noop)"


# What it does, and the rules that it breaks by that: in the order in which they are run.
UNSAFE = {
    "drops_column": ('migrations.RemoveField("menuitem", "description")', {"ban-drop-column"}),
    "renames_column": ('migrations.RenameField("menuitem", "image", "picture")', {"renaming-column"}),
    "requires_value": (
        'migrations.AddField("menuitem", "hot", models.BooleanField(default=False))',
        {"ban-drop-default"},
    ),
    "requires_old": (
        'migrations.AlterField("menuitem", "retired_at", models.DateTimeField(default=timezone.now))',
        {"adding-not-nullable-field", "ban-drop-default"},
    ),
    "changes_type": (
        'migrations.AlterField("menuitem", "position", models.BigIntegerField(default=999))',
        {"changing-column-type", "ban-drop-constraint", "mariadb-blocks"},
    ),
    "builds_index": (
        f'migrations.AddIndex("menuitem", {BY_POSITION})',
        {"require-concurrent-index-creation"},
    ),
    "drops_index": ('migrations.RemoveIndex("menuitem", "by_position")', {"require-concurrent-index-deletion"}),
    "checks_all": (
        f'migrations.AddConstraint("menuitem", {FEW})',
        {"constraint-missing-not-valid", "mariadb-blocks"},
    ),
    "is_unique": (
        'migrations.AddConstraint("menuitem", models.UniqueConstraint(fields=["position"], name="place"))',
        {"constraint-missing-not-valid", "disallowed-unique-constraint"},
    ),
    "makes_table": (EXTRA, set()),
    "refers": (
        f'migrations.AddField("menuitem", "extra", models.ForeignKey({EXTRA_FOREIGN}))',
        {"adding-foreign-key-constraint", "mariadb-blocks"},
    ),
    "refers_no_more": ('migrations.RemoveField("menuitem", "extra")', {"ban-drop-column", "ban-drop-constraint"}),
    "renames_table": ('migrations.AlterModelTable("extra", "menu_topping")', {"renaming-table"}),
    "drops_table": ('migrations.DeleteModel("Extra")', {"ban-drop-table"}),
    "has_no_way_back": ("migrations.RunPython(nothing)", {"no-way-back"}),
    "does_both": (
        'migrations.AddField("menuitem", "note", models.TextField(null=True)), migrations.RunPython(nothing, nothing)',
        {"data-beside-schema"},
    ),
    "says_it_itself": (
        'migrations.RunSQL("alter table menu_menuitem drop column note", migrations.RunSQL.noop)',
        {"ban-drop-column"},
    ),
    "says_what_blocks": (
        'migrations.RunSQL("alter table menu_menuitem add check (position < 99)", migrations.RunSQL.noop)',
        {"constraint-missing-not-valid", "mariadb-blocks"},
    ),
    "fills_too": (
        f'migrations.AddField("menuitem", "hint", models.TextField(null=True)), {says(FILLS)}',
        {"data-beside-schema"},
    ),
    "fills_at_once": (says(f"alter table menu_menuitem add hue text; {FILLS}"), {"data-beside-schema"}),
    "does_both_within": (
        f"migrations.SeparateDatabaseAndState([{says('alter table menu_menuitem add hop text')}, {says(FILLS)}])",
        {"data-beside-schema"},
    ),
    "says_and_does": (
        says("alter table menu_menuitem add hum text") + ", migrations.RunPython(nothing, nothing)",
        {"data-beside-schema"},
    ),
    "notes_first": (says("-- Nobody names it.\nalter table menu_menuitem drop hint; -- Gone."), {"ban-drop-column"}),
    "sets_first": (says("set role none; alter table menu_menuitem drop hue"), {"ban-drop-column"}),
    "fills_first": (
        says(f"{FILLS}; alter table menu_menuitem drop hum"),
        {"ban-drop-column", "data-beside-schema"},
    ),
    "notes_what_blocks": (
        says(["-- Few.\nalter table menu_menuitem add check (position < 98) -- They are."]),
        {"constraint-missing-not-valid", "mariadb-blocks"},
    ),
}

SAFE = {
    "makes_table": EXTRA,
    "may_be_null": 'migrations.AddField("menuitem", "note", models.TextField(null=True))',
    "has_default": 'migrations.AddField("menuitem", "hot", models.BooleanField(db_default=False))',
    "builds_index": f'operations.AddIndexConcurrently("menuitem", {BY_POSITION})',
    "drops_index": 'operations.RemoveIndexConcurrently("menuitem", "by_position")',
    "checks_new": f'operations.AddConstraintNotValid("menuitem", {FEW})',
    "checks_old": 'operations.ValidateConstraint("menuitem", "few")',
    "moves_data": "migrations.RunPython(nothing, migrations.RunPython.noop)",
    "says_what_data": says(
        ["-- Not to ALTER anything.\n" + FILLS, ("delete from menu_menuitem where title = %s", [""])]
    ),
    "drops_what_nobody_names": 'migrations.RemoveField("menuitem", "hot")',
}
MORE = {
    "builds_index": "    atomic = False\n",
    "drops_index": "    atomic = False\n",
    "checks_new": '    accepted = {"mariadb-blocks": "A menu is short."}\n',
    "drops_what_nobody_names": '    accepted = {"ban-drop-column": "No code that runs names it."}\n',
}


def add(checkout, operations, more):
    """A migration for each, one after the other."""
    before = "0002_position"
    for number, (name, operation) in enumerate(operations.items(), start=3):
        after = f"{number:04}_{name}"
        text = f"{HEAD.format(before=before)}{more.get(name, '')}    operations = [{operation}]\n"
        (checkout.folder / f"menu/migrations/{after}.py").write_text(text)
        before = after


def complaints(checkout, url):
    """The lines in which the migrations are refused."""
    scripts = sysconfig.get_path("scripts")
    env = {"DATABASE_URL": url, "LOG_LEVEL": "ERROR", "PATH": f"{scripts}:{checkout.env['PATH']}"}
    done = checkout.run(".venv/bin/python", "-m", "script.migrations", **env)
    assert done.returncode == bool(done.stderr), done.stdout + done.stderr
    return done.stderr.splitlines()[:-1]


def check(checkout, url):
    """What is said of each migration, by the rule that it breaks."""
    said = defaultdict(dict)
    for line in complaints(checkout, url):
        name, sentence, rule = re.fullmatch(r"menu\.\d{4}_(\w+): (.+) \(([\w-]+)\)", line).groups()
        said[name][rule] = sentence
    return said


@pytest.fixture
def postgresql(tmp_path):
    with books.new_postgresql(tmp_path) as database:
        yield database.url


@pytest.fixture
def mariadb(tmp_path):
    with books.new_mariadb(tmp_path) as database:
        yield database.url


@pytest.fixture
def unsafe(checkout):
    add(checkout, {name: operations for name, (operations, _) in UNSAFE.items()}, {})
    return checkout


def rules(about):
    """Those that each of the unsafe migrations breaks, but for those that break none."""
    broken = {name: {rule for rule in rules if about(rule)} for name, (_, rules) in UNSAFE.items()}
    return {name: rules for name, rules in broken.items() if rules}


def test_each_kind_of_unsafe_migration_is_refused(unsafe, postgresql):
    said = check(unsafe, postgresql)

    assert {name: set(sentences) for name, sentences in said.items()} == rules(lambda rule: rule != "mariadb-blocks")
    assert said["requires_value"]["ban-drop-default"] == (
        "Dropping a column default may break existing clients."
        " Give it a db_default, or null=True: code that doesn't know the column leaves it out."
    )
    assert "SHARE ROW EXCLUSIVE" in said["refers"]["adding-foreign-key-constraint"]


def test_what_nobody_can_read_is_refused(checkout, postgresql):
    add(checkout, {"hides": says("do $$ begin alter table menu_menuitem drop column image; end $$")}, {})

    assert set(check(checkout, postgresql)["hides"]) == {"hidden-schema"}


def test_mariadb_tells_itself_what_would_block_writes(unsafe, mariadb):
    said = check(unsafe, mariadb)

    assert {name: set(sentences) for name, sentences in said.items()} == rules(
        lambda rule: rule in ("mariadb-blocks", "no-way-back", "data-beside-schema")
    )
    assert "Cannot change column type" in said["changes_type"]["mariadb-blocks"]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_the_same_in_steps_is_content_and_has_a_way_back(checkout, database, request):
    add(checkout, SAFE, MORE)
    url = request.getfixturevalue(database)

    assert check(checkout, url) == {}
    for target in ("menu", "menu 0002", "menu"):
        done = checkout.manage("migrate", *target.split(), DATABASE_URL=url)
        assert done.returncode == 0, done.stderr


def test_on_sqlite_the_steps_go_forth_and_back(checkout):
    add(checkout, SAFE, MORE)
    for target in ("menu", "menu 0002", "menu"):
        done = checkout.manage("migrate", *target.split())
        assert done.returncode == 0, done.stderr


def test_what_need_not_be_accepted_may_not_be(checkout, postgresql):
    needless = '    accepted = {"ban-drop-column": "As ever."}\n'
    add(checkout, {"moves_data": SAFE["moves_data"]}, {"moves_data": needless})

    assert complaints(checkout, postgresql) == ["menu.0003_moves_data: accepts ban-drop-column, which it doesn't do."]
