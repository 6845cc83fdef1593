# Removes a world: its namespaces, every process in them, its mounts and files.
#
# usage: sh -c "$(cat sweep.sh)" sweep WORLD DIRECTORY
#
# Waits on stdin first. A line means "leave it standing"; the end of input means
# that the owner of the world has finished with it, or was killed.
world=$1
directory=$2
if read -r _; then
    exit 0
fi
for path in /run/netns/"$world"-*; do
    [ -e "$path" ] || continue
    netns=${path##*/}
    for pid in $(ip netns pids "$netns"); do
        kill -9 "$pid"
    done
    ip netns del "$netns"
done
if mountpoint -q "$directory/bpffs"; then
    umount "$directory/bpffs" || umount --lazy "$directory/bpffs"
fi
rm -rf --one-file-system "$directory"
