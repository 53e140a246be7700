#!/usr/bin/env bash
# What the scripts share; each of them sources it first. They run in the project's folder, with .venv/bin in the PATH.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." >/dev/null
export PATH="$PWD/.venv/bin:$PATH"

RECENT='import sys; sys.exit(sys.version_info < (3, 11))'

say() { printf '%s\n' "$*" >&2; }

refuse() {
  say "$*"
  exit 1
}

# The name of a Python that can make a .venv. It is run to find out: a name in the PATH may be a shim with nothing behind it.
find_python() {
  local name version
  for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c "import ensurepip; $RECENT" 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  if python3 -c "$RECENT" 2>/dev/null; then
    refuse "$(python3 --version) has no venv module: install it (Debian and Ubuntu: apt install python3-venv)."
  fi
  version=$(python3 --version 2>/dev/null || true)
  refuse "Python 3.11 or newer is needed; python3 is ${version:-missing}."
}

# prepare FILE...: a .venv in which these requirements files are installed. What was installed is kept in it, so that
# nothing is asked of the network until a file changes.
prepare() {
  local file python same=yes
  if ! .venv/bin/python -c "import pip; $RECENT" 2>/dev/null; then
    python=$(find_python)
    say "Making .venv with $("$python" --version)"
    (trap '' INT && "$python" -m venv --clear .venv)
  fi
  for file in "$@"; do cmp -s "$file" ".venv/$file" || same=no; done
  if [[ $same = yes ]]; then return; fi
  say "Installing $*"
  for file in "$@"; do rm -f ".venv/$file"; done
  python -m pip install --quiet --quiet --disable-pip-version-check "${@/#/--requirement=}"
  cp "$@" .venv/
}

# listening PORT: somebody answers there on this machine.
listening() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
