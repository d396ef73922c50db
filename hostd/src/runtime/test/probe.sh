#!/bin/sh
# What the containers of the contract suite run. Written for any POSIX shell, so that one script serves a busybox image
# and a plain host.
verb=$1
shift
case $verb in
idle) # until SIGTERM, then a clean end
	trap 'echo terminated; exit 0' TERM
	echo ready
	while :; do sleep 0.1; done
	;;
stubborn) # deaf to SIGTERM
	trap '' TERM
	echo ready
	while :; do sleep 0.1; done
	;;
say) # say CODE LINE...: the lines on stdout, one on stderr, then the exit code
	code=$1
	shift
	for line in "$@"; do printf '%s\n' "$line"; done
	echo "to stderr" >&2
	exit "$code"
	;;
tick) # a line every 50 ms
	n=0
	while :; do
		n=$((n + 1))
		echo "tick $n"
		sleep 0.05
	done
	;;
show) # show NAME...: environment variables
	for name in "$@"; do
		eval "echo \"$name=\${$name-unset}\""
	done
	;;
keep) # keep NAME TEXT: appends to a file in a volume and prints all of it
	eval "folder=\$BEEMESH_VOLUME_$1"
	echo "$2" >>"$folder/kept"
	cat "$folder/kept"
	;;
eat) # memory without end
	data=0123456789abcdef
	while :; do data=$data$data; done
	;;
*)
	echo "probe: no verb $verb" >&2
	exit 64
	;;
esac
