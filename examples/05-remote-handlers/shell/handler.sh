#!/usr/bin/env bash
#
# A remote handler of jetq, or of asyncjobs in Go, in plain bash (4.3 or newer): it counts the words of tasks of the
# type text:count. No client of NATS is needed: bash itself opens the connection, and NATS speaks in lines of text.
#
#     ./handler.sh
#
# NATS_URL says where the server is (nats://[USER:PASSWORD@ or TOKEN@]HOST[:PORT], without TLS), JETQ_NAMESPACE whose
# tasks it takes (JETQ; CHORIA_AJ for programs of asyncjobs). It answers one request after the other; start several, and each
# task goes to one of them. What takes more than some minutes needs another language: nobody answers the server's pings
# meanwhile, and it closes the connection then.
#
# The whole conversation, > is what we say, < what the server says; each line ends in CR LF:
#
#     < INFO {...}                               greetings; what follows may be said at any time again
#     > CONNECT {...}                            who we are; "headers": we understand them
#     > SUB JETQ.H.T.text:count text 1           give us what comes there, as one of the group "text"; we call it 1
#     > PING
#     < PONG                                     all of that is done
#     < HMSG JETQ.H.T.text:count 1 REPLY 120 500 a request: 120 bytes of headers, 500 in all; answers go to REPLY
#     < NATS/1.0 ... AJ-Handler-Deadline: ...    the headers, an empty line, and the task as JSON
#     > PUB REPLY 11                             an answer: the result, 11 bytes
#     > {"words":3}
#     > HPUB REPLY 34 34                         or one that is an error, which a header says
#     > NATS/1.0 ... AJ-Error: no disk
#     < PING                                     are you there?
#     > PONG

set -u
export LC_ALL=C # so that bash counts bytes, as NATS does, and not characters

type=text:count
subject=${JETQ_NAMESPACE:-JETQ}.H.T.$type
group=text
stopping=

# What is to be done, for a task in JSON. It sets one of: result, error (another try may help), terminate (none will).
count() {
  local task=$1 payload text
  # The payload is in base64. sed is enough to find a string; for more than that use jq.
  payload=$(sed -n 's/.*"payload":"\([^"]*\)".*/\1/p' <<<"$task" | base64 -d)
  text=$(sed -n 's/.*"text": *"\([^"]*\)".*/\1/p' <<<"$payload")
  if [[ $payload != *'"text"'* ]]; then
    terminate="the payload has no text"
  elif [[ $text == again && $task == *'"tries":1,'* ]]; then
    error="not at the first try"
  else
    result="{\"words\":$(wc -w <<<"$text" | tr -d ' '),\"by\":\"shell\"}"
  fi
}

say() { printf '%s\r\n' "$@" >&3; }

# Answer a request: $1 is where to, $2 the headers, $3 the body.
answer() {
  local reply=$1 headers=$2 body=$3 result='' error='' terminate='' deadline head
  deadline=$(sed -n 's/^AJ-Handler-Deadline: *\([^ \r]*\).*/\1/p' <<<"$headers")
  if [[ -n $deadline && ! $(date -u +%Y-%m-%dT%H:%M:%SZ) < $deadline ]]; then
    error="the deadline has passed" # nobody waits for it any more
  else
    count "$body"
  fi
  if [[ -n $terminate ]]; then
    head=$'NATS/1.0\r\nAJ-Terminate: '$terminate$'\r\n\r\n'
  elif [[ -n $error ]]; then
    head=$'NATS/1.0\r\nAJ-Error: '$error$'\r\n\r\n'
  else
    say "PUB $reply ${#result}" "$result"
    return
  fi
  say "HPUB $reply ${#head} ${#head}" "$head"
}

# Take requests until the connection ends, or we are told to stop.
serve() {
  local url=${NATS_URL:-nats://127.0.0.1:4222} login='' line words size head body
  url=${url#*://}
  if [[ $url == *@* ]]; then
    line=${url%@*} url=${url##*@}
    login=",\"auth_token\":\"$line\""
    [[ $line == *:* ]] && login=",\"user\":\"${line%%:*}\",\"pass\":\"${line#*:}\""
  fi
  url=${url%%/*}
  [[ $url == *:* ]] || url=$url:4222
  exec 3<>"/dev/tcp/${url%:*}/${url##*:}" || return
  say "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"bash\",\"version\":\"1\",\"name\":\"$type in bash\"$login}"
  say "SUB $subject $group 1" PING
  while IFS= read -r line <&3; do
    read -ra words <<<"${line%$'\r'}"
    case ${words[0]:-} in
      MSG | HMSG)
        # MSG SUBJECT SID [REPLY] SIZE, or HMSG SUBJECT SID [REPLY] HEADERS SIZE; then so many bytes, and CR LF
        size=${words[-1]} head=0
        [[ ${words[0]} == HMSG ]] && head=${words[-2]}
        IFS= read -r -N $((size + 2)) body <&3 || break
        ((${#words[@]} == (head ? 6 : 5))) || continue # nobody waits for an answer
        answer "${words[3]}" "${body:0:head}" "${body:head:size-head}"
        ;;
      PING) say PONG ;;
      PONG)
        [[ -n $stopping ]] && exit 0
        echo "ready: $type"
        ;;
      -ERR) echo "handler.sh: the server says: $line" >&2 ;;
    esac
  done
}

# Told to stop, take no more; the PONG comes behind what was on its way, and is the end.
trap 'stopping=yes; say "UNSUB 1" PING || exit 0' TERM INT
while [[ -z $stopping ]]; do
  serve
  exec 3>&- # the connection is gone, or there was none: try again
  sleep 1
done
