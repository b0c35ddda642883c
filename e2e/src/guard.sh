# Runs a program that must not outlive whoever started it: `sh -c GUARD guard DIRECTORY PROGRAM [ARG…]`.
#
# The starter keeps the other end of standard input open and never writes to it. When it is gone, by
# whatever death, the program is killed and DIRECTORY removed. When this shell is killed instead,
# the kernel kills the program; the reader below still waits for the starter and removes DIRECTORY.
set -u
directory=$1
shift
exec 3<&0 </dev/null
setpriv --pdeathsig KILL "$@" 3<&- &
program=$!
{
  cat <&3 >/dev/null
  kill -KILL "$program" 2>/dev/null
  # Another guard's program may still write here; whoever comes last leaves nothing.
  rm -rf "$directory" 2>/dev/null || rm -rf "$directory"
} &
exec 3<&-
wait "$program"
