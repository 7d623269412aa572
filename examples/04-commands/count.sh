#!/bin/sh
# Count the words of a task's text, and write the result as JSON. The task is in the file that JETQ_TASK names, and its
# payload is there in base64. (With jq: jq -r '.payload | @base64d | fromjson | .text' "$JETQ_TASK")
payload=$(sed 's/.*"payload":"\([^"]*\)".*/\1/' "$JETQ_TASK" | base64 -d)
text=$(printf '%s' "$payload" | sed 's/.*"text":"\([^"]*\)".*/\1/')
if [ -z "$text" ] || [ "$text" = "$payload" ]; then
    echo "there is no text in $payload"
    exit 65
fi
set -f
set -- $text
printf '{"words": %d, "first": "%s"}\n' "$#" "$1"
