# fish completion for exo

function __exo_command
	set -l words (commandline -opc)
	test (count $words) -ge 2; and contains -- $words[2] $argv
end

set -l none 'test (count (commandline -opc)) -eq 1'
complete -c exo -n $none -f -a run -d 'run a program in the foreground'
complete -c exo -n $none -f -a test -d 'run guests that report TAP'
complete -c exo -n $none -f -a doctor -d 'say what this machine can do'
complete -c exo -n $none -f -a help -d 'show the help of a command'
complete -c exo -n $none -f -a version -d 'show the version'

set -l guest '__exo_command run test'
complete -c exo -n $guest -s m -l memory -x -a '32M 64M 256M 1G' -d 'memory'
complete -c exo -n $guest -l cpus -x -a '1 2 4' -d 'virtual CPUs'
complete -c exo -n $guest -l name -x -d 'name in messages'
complete -c exo -n $guest -l disk -r -d 'disk: FILE[:ro]'
complete -c exo -n $guest -s e -l env -x -d 'environment variable'
complete -c exo -n $guest -s t -l timeout -x -a '10s 1m' -d 'time limit'
complete -c exo -n $guest -l kernel-args -x -d 'appended to the command line'
complete -c exo -n $guest -l initrd -r -d 'initial RAM disk'
complete -c exo -n $guest -l hugepages -d 'memory of huge pages'
complete -c exo -n $guest -l prefault -d 'touch all memory first'
complete -c exo -n $guest -l rng -d 'random number device'
complete -c exo -n $guest -s h -l help -d 'help'

complete -c exo -n '__exo_command run' -l json-status -r -d 'how it ended, as JSON'
complete -c exo -n '__exo_command run' -l vsock -r -d 'vsock device'
complete -c exo -n '__exo_command run' -l timings -d 'print where the time went'
complete -c exo -n '__exo_command test' -l junit -r -d 'JUnit XML'
complete -c exo -n '__exo_command test' -s j -l jobs -x -d 'guests at a time'
complete -c exo -n '__exo_command test' -s v -l verbose -d 'output of all guests'
complete -c exo -n '__exo_command doctor' -l json -d 'as JSON'
complete -c exo -n '__exo_command help' -f -a 'run test doctor'
