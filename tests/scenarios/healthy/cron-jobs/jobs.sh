#!/bin/sh
# Runs small jobs every half second; says when a round is done.
while :; do
	date >now
	wc -l "$0" >lines &
	sort "$0" >sorted &
	wait
	echo round
	sleep 0.5
done
