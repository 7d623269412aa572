#!/bin/sh
# Ignore everybody who wants this to end, and start something that would outlive it.
trap '' TERM INT HUP
sleep 600 &
while :; do sleep 1; done
