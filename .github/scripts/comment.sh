#!/usr/bin/env bash
# Writes FILE as the one comment of the review on a pull request; the next review replaces it.
#
#   GITHUB_REPOSITORY=owner/name .github/scripts/comment.sh NUMBER FILE
#
# The comment is found by the hidden first line of FILE. Needs `gh` with permission to write to the pull request.
set -euo pipefail

if [ $# -ne 2 ] || [ -z "${GITHUB_REPOSITORY:-}" ]; then
  echo 'Usage: GITHUB_REPOSITORY=owner/name .github/scripts/comment.sh NUMBER FILE' >&2
  exit 2
fi
number=$1 file=$2
marker=$(head -n 1 "$file")
comments=repos/$GITHUB_REPOSITORY/issues

known=$(gh api --paginate "$comments/$number/comments" --jq \
  ".[] | select(.user.login == \"github-actions[bot]\" and (.body | startswith(\"$marker\"))) | .id" | head -n 1)
if [ -n "$known" ]; then
  gh api --silent --method PATCH "$comments/comments/$known" --field "body=@$file"
else
  gh api --silent --method POST "$comments/$number/comments" --field "body=@$file"
fi
