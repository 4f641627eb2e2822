#!/usr/bin/env bash
# Reviews the checked-out change against BASE, in CI and by hand:
#
#   .github/scripts/review.sh BASE OUT [check|run]
#
# check  proves that dvc.lock is up to date here, then compares the results that it names on both sides, from the cache
#        or the remote; runs nothing (default)
# run    first brings both sides up to date: pulls what the remote has and runs the rest; fails if what is committed
#        here is not what that gives
#
# Writes OUT/summary.md (short enough for a comment) and OUT/compare.html. Exits with 1 when a rule of gate.yaml is
# broken, dvc.lock is out of date or anything else fails; the summary then says why.
set -euo pipefail

refuse() {  # $1: a sentence
  printf 'review.sh: %s\nUsage: .github/scripts/review.sh BASE OUT [check|run]\n' "$1" >&2
  exit 2
}

if [ $# -lt 2 ] || [ $# -gt 3 ]; then refuse "2 or 3 words are needed, not $#"; fi
mode=${3:-check}
case $mode in check | run) ;; *) refuse "the third word is check or run, not $mode" ;; esac
commit=$(git rev-parse --verify --quiet --end-of-options "$1^{commit}") ||
  refuse "Git knows no revision $1 here: fetch it, or run this inside the repository"
for program in reprotune dvc; do
  command -v "$program" > /dev/null || refuse "there is no $program: activate the environment"
done
mkdir -p "$2" || refuse "$2 cannot be made a folder"
out=$(cd "$2" && pwd)
scripts=$(cd "$(dirname "$0")" && pwd)
base=$commit
rm -f "$out"/{summary,compare}.md "$out/compare.html"  # of an earlier review
export COLUMNS=110  # of the tables, which stand as plain text in the summary

as_code() {  # $1: most lines; an indented block is code that no text can end
  head -n "$1" | sed 's/^/    /'
}

results_are_here() {  # $1: a revision; whether everything that is compared is in the cache or the remote
  reprotune compare "$1" "$1" > /dev/null 2>&1
}

bring_up_to_date() {
  local pull=()
  if has_remote; then pull=(--pull); fi
  base=$out/base
  reproduce workspace &&
    # metrics/ is what this makes of the results, whatever was committed there
    dvc repro --force --single-item "${pull[@]}" report &&
    trap 'git worktree remove --force "$base" 2> /dev/null || true' EXIT &&
    git worktree add --quiet --detach "$base" "$commit" &&
    cache=$(dvc cache dir) &&
    # the base runs its own code, whatever package is installed, and shares the cache of this checkout
    (cd "$base" && dvc cache dir --quiet --local "$cache") &&
    reproduce "$base"
}

reproduce() {  # $1: workspace, or the folder of a checkout
  if has_remote; then repro "$1" --pull --allow-missing || return; fi
  # what no remote has needs to be run, although nothing has changed
  results_are_here "$1" || repro "$1"
}

has_remote() {  # `dvc repro --pull` is an error without one
  dvc config core.remote > /dev/null 2>&1
}

repro() (  # $1: as above, then options
  if [ "$1" != workspace ]; then
    cd "$1" || exit
    export PYTHONPATH=$1/src:$1
  fi
  shift
  dvc repro "$@"
)

failed() {  # $1: what failed, $2: the file with its output
  status=1 why=$1 stale=
  { printf '## The review failed: %s\n\n' "$1"; tail -n 20 "$2" | as_code 20; } > "$out/compare.md"
  echo 'Not checked: see above.' > "$out/gate.txt"
}

status=0
why=  # the review fails, in a few words
stale=  # how the committed results differ from what a run gives
# shellcheck disable=SC2016  # backticks of Markdown
if ! reprotune plan --check > "$out/plan.txt" 2>&1; then
  if [ "$mode" = run ] && grep -q '^dvc\.lock is out of date' "$out/plan.txt"; then
    stale='dvc.lock is not that of the code, params and data here (see the plan)'
  else
    failed 'dvc.lock is out of date, or `reprotune plan` does not run' "$out/plan.txt"
  fi
fi
if [ "$status" = 1 ]; then
  :
elif [ "$mode" = run ] && ! bring_up_to_date > "$out/repro.txt" 2>&1; then
  failed 'the pipeline does not run' "$out/repro.txt"
elif [ "$mode" = run ] && [ -z "$stale" ] && ! stale=$("$scripts/committed.py" 2>&1); then
  printf '%s\n' "$stale" > "$out/repro.txt"
  failed 'the committed numbers cannot be read' "$out/repro.txt"
elif ! reprotune compare "$base" --markdown "$out/compare.md" --html "$out/compare.html" > "$out/compare.txt" 2>&1; then
  failed 'the results cannot be compared' "$out/compare.txt"
elif ! reprotune gate --against "$base" > "$out/gate.txt" 2>&1; then
  status=1 why='the gate is broken'
  if ! grep -Eq '^gate\.yaml: [0-9]+ of [0-9]+ (rules|checks) ' "$out/gate.txt"; then
    fault=$(tail -n 12 "$out/gate.txt") why='the gate does not run'
    printf 'The gate does not run:\n%s\n' "$fault" > "$out/gate.txt"
  fi
fi
gate=$([ "$status" = 0 ] && echo passed || echo failed)
if [ -n "$stale" ]; then status=1 why="${why:+$why, and }the committed results are not those of a run"; fi

{
  echo '<!-- reprotune review -->'
  if [ -n "$stale" ]; then
    # shellcheck disable=SC2016  # backticks of Markdown
    printf '## The committed results are not those of a run\n\n%s\n\n' \
      'Run `dvc repro` and commit dvc.lock and metrics/. What follows compares what a run gives here.'
    printf '%s\n' "$stale" | as_code 12
    printf '\n'
  fi
  cat "$out/compare.md"
  printf '\n### Gate: %s\n\n' "$gate"
  as_code 14 < "$out/gate.txt"
  # shellcheck disable=SC2016  # backticks of Markdown
  printf '\n### Plan of `dvc repro`\n\n'
  as_code 30 < "$out/plan.txt"
} > "$out/summary.md"
if [ "$status" = 0 ]; then
  echo "The review passed: $out/summary.md"
else
  echo "The review failed: $why (see $out/summary.md)" >&2
fi
exit "$status"
