# A machine's init, in namespaces of its own: when it is killed, all processes of the machine are killed with it.
# machine.go sets the variables, and the settings of deploy/patroni.
set -eu
mount --bind "$LAB_DIR/config" /etc/patroni
mount --bind "$LAB_DIR/$LAB_MACHINE/postgresql" /var/lib/postgresql
mount --bind "$LAB_DIR/$LAB_MACHINE/etcd" /var/lib/etcd
mount -t tmpfs -o mode=1777 tmpfs /tmp
export PYTHONPATH="$LAB_PATRONI/lib/python3/dist-packages"
# Process numbers go on where a reboot left off. Otherwise a number in an old postmaster.pid is another process's, and
# Postgres does not start.
echo $((LAB_BOOT * 3000)) >/proc/sys/kernel/ns_last_pid
as() { user=$1; shift; setpriv --reuid="$user" --regid="$user" --clear-groups "$@"; }
case $LAB_MACHINE in
etcd*) as etcd "$LAB_PATRONI/bin/etcd" >>/var/lib/etcd/log 2>&1 & ;;
# A supervisor starts Patroni again, as systemd does.
*) while :; do as postgres python3 "$LAB_PATRONI/bin/patroni" /etc/patroni/patroni.yml || true; sleep 1; done & ;;
esac
wait
