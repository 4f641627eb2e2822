#!/usr/bin/env bash
# Reviews the checked-out change against BASE, in CI and by hand:
#
#   .github/scripts/review.sh BASE OUT [check|run]
#
# check  proves that dvc.lock is up to date here, then compares the results that it names on both sides, from the cache
#        or the remote; runs nothing (default)
# run    first brings both sides up to date: pulls what the remote has and runs the rest
#
# Writes OUT/summary.md (short enough for a comment) and OUT/compare.html. Exits with 1 when a rule of gate.yaml is
# broken, dvc.lock is out of date or anything else fails; the summary then says why.
set -euo pipefail

commit=$(git rev-parse --verify --quiet --end-of-options "${1:?BASE is missing}^{commit}") ||
  { echo "Git knows no revision $1: fetch it first" >&2; exit 2; }
mkdir -p "${2:?OUT is missing}"
out=$(cd "$2" && pwd)
mode=${3:-check}
base=$commit
case $mode in check | run) ;; *) echo "The third word is check or run, not $mode" >&2; exit 2 ;; esac
rm -f "$out"/{summary,compare}.md "$out/compare.html"  # of an earlier review
export COLUMNS=110  # of the tables, which stand as plain text in the summary

as_code() {  # $1: most lines; an indented block is code that no text can end
  head -n "$1" | sed 's/^/    /'
}

bring_up_to_date() {
  base=$out/base
  trap 'git worktree remove --force "$base"' EXIT
  # the base runs its own code, whatever package is installed, and shares the cache of this checkout
  dvc repro --pull --allow-missing &&
    git worktree add --quiet --detach "$base" "$commit" &&
    cache=$(dvc cache dir) &&
    cd "$base" && dvc cache dir --quiet --local "$cache" &&
    PYTHONPATH=$base/src:$base dvc repro --pull --allow-missing &&
    cd "$OLDPWD"
}

plan() {  # what is out of date: before a run it is only shown, otherwise nothing may be
  if [ "$mode" = run ]; then reprotune plan; else reprotune plan --check; fi
}

failed() {  # $1: what failed, $2: the file with its output
  status=1
  { printf '## The review failed: %s\n\n' "$1"; tail -n 20 "$2" | as_code 20; } > "$out/compare.md"
  echo 'Not checked: see above.' > "$out/gate.txt"
}

status=0
if ! plan > "$out/plan.txt" 2>&1; then
  # shellcheck disable=SC2016  # backticks of Markdown
  failed 'dvc.lock is out of date, or `reprotune plan` does not run' "$out/plan.txt"
elif [ "$mode" = run ] && ! bring_up_to_date > "$out/repro.txt" 2>&1; then
  failed 'the pipeline does not run' "$out/repro.txt"
elif ! reprotune compare "$base" --markdown "$out/compare.md" --html "$out/compare.html" > "$out/compare.txt" 2>&1; then
  failed 'the results cannot be compared' "$out/compare.txt"
elif ! reprotune gate --against "$base" > "$out/gate.txt" 2>&1; then
  status=1
  if ! grep -q 'rules are broken$' "$out/gate.txt"; then
    fault=$(tail -n 12 "$out/gate.txt")
    printf 'The gate does not run:\n%s\n' "$fault" > "$out/gate.txt"
  fi
fi

{
  echo '<!-- reprotune review -->'
  cat "$out/compare.md"
  printf '\n### Gate: %s\n\n' "$([ "$status" = 0 ] && echo passed || echo failed)"
  as_code 14 < "$out/gate.txt"
  # shellcheck disable=SC2016  # backticks of Markdown
  printf '\n### Plan of `dvc repro`\n\n'
  as_code 30 < "$out/plan.txt"
} > "$out/summary.md"
exit "$status"
