#!/usr/bin/env bash
# Writes the review that a run of `review` has left as its artifact into the comment on its pull request:
#
#   GITHUB_REPOSITORY=owner/name RUN_ID=... HEAD_SHA=... HEAD_BRANCH=... HEAD_REPOSITORY=... .github/scripts/publish.sh
#
# Everything in the environment comes from the event, nothing from the artifact: which pull request it is, GitHub says
# by the run's branch and commit. The artifact is the work of the pull request's own code, and no more than text. Needs
# `gh` with permission to read the run and to write to the pull request.
set -euo pipefail

for name in GITHUB_REPOSITORY RUN_ID HEAD_SHA HEAD_BRANCH HEAD_REPOSITORY; do
  if [ -z "${!name:-}" ]; then
    echo "publish.sh: the environment has no $name; it is called by the workflow comment.yml" >&2
    exit 2
  fi
done
repository=repos/$GITHUB_REPOSITORY
scripts=$(dirname "$0")
most_bytes=1000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "No comment: $1"; exit 0; }

# a branch can have pull requests to several others, and each of them a review of its own
gh api --paginate --method GET "$repository/pulls" --raw-field state=open \
  --raw-field "head=${HEAD_REPOSITORY%%/*}:$HEAD_BRANCH" \
  --jq '.[] | [.number, .head.sha, .head.repo.full_name] | @tsv' > "$work/pulls"
numbers=$(awk -F '\t' -v sha="$HEAD_SHA" -v repository="$HEAD_REPOSITORY" \
  '$2 == sha && $3 == repository { print $1 }' "$work/pulls")
[ -n "$numbers" ] || say 'no open pull request has this commit as its last one'
[[ $numbers =~ ^[0-9]+$ ]] || say 'several pull requests have this commit as their last one'

gh api --method GET "$repository/actions/runs/$RUN_ID/artifacts" --raw-field name=summary \
  --jq '.artifacts | sort_by(.created_at) | reverse | .[] | select(.expired | not) | [.id, .size_in_bytes] | @tsv' \
  > "$work/artifacts"
IFS=$'\t' read -r artifact size < "$work/artifacts" || say 'the run has left no summary'
[ "$size" -le "$most_bytes" ] || say "the summary has $size bytes, more than $most_bytes"
gh api "$repository/actions/artifacts/$artifact/zip" > "$work/summary.zip"

python3 -I "$scripts/inert.py" "$work/summary.zip" "$HEAD_SHA" > "$work/comment.md"
"$scripts/comment.sh" "$numbers" "$work/comment.md"
