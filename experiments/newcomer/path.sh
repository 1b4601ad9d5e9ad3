#!/bin/bash
# A newcomer's path, timed: from a clone to an own fit of a STAR file, each step as the README has it.
#
#   experiments/newcomer/path.sh [FOLDER] [PYTHON]
#
# FOLDER (default: a temporary one) gets the clone, its environment and all results; the package
# index is whatever pip is configured for. "Own" particles are simulated there first, untimed for the
# table's purpose but shown. Prints one line a step: seconds by the clock, CPU seconds, what was done.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$(mktemp -d)}
python=${2:-python3}
mkdir -p "$folder"
cd "$folder"
# A new user has no compiled programs yet.
export XDG_CACHE_HOME=$folder/cache
unset JAX_COMPILATION_CACHE_DIR

TIMEFORMAT='%R %U %S'
step() {
  local words="$*" spent
  spent=$({ time "$@" >>steps.log 2>&1; } 2>&1) || { tail -n 20 steps.log; echo "failed: $words"; exit 1; }
  echo "$spent" | tail -n 1 | awk -v w="${LABEL:-$words}" '{ printf "| %s | %.0f | %.0f |\n", w, $1, $2 + $3 }' |
    tee -a table.md
}

: >steps.log
printf '| step | s by the clock | CPU s |\n| --- | --- | --- |\n' | tee table.md
LABEL='`git clone`' step git clone -q "$source" het
cd het
mv ../table.md ../steps.log .
LABEL='`python3 -m venv .venv`' step "$python" -m venv .venv
LABEL="\`.venv/bin/pip install -e '.[viz]'\`" step .venv/bin/pip install -q -e '.[viz]'
het=.venv/bin/cryojax-het
LABEL='`cryojax-het --help`' step $het --help
LABEL='`cryojax-het demo -o demo`' step $het demo -o demo
LABEL='(particles: `simulate hinge`, 2,000 of 32 pixels)' \
  step $het simulate hinge -o own --count 2000 --size 32 --pixel-size 8
LABEL='`cryojax-het inspect particles.star`' step $het inspect own/particles.star
LABEL='`cryojax-het fit particles.star -o run1`' step $het fit own/particles.star -o run1
LABEL='`cryojax-het volumes run1 --particles 3,17,256 -o maps`' \
  step $het volumes run1 --particles 3,17,256 -o maps
LABEL='`cryojax-het analyse run1`' step $het analyse run1
echo
ls run1 run1/volumes maps
