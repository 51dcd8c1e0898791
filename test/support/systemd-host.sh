#!/usr/bin/env bash
# systemd-host.sh NAME FOLDER: becomes the systemd of this machine, as the first process of a host of its own. Its root is
# the machine's, which it can't change, with FOLDER/installed laid over it; control groups, BPF file system and /run are its
# own. The network is the caller's. NAME names its control groups; the caller removes them.
set -euo pipefail

# What cpuset would need beforehand, systemd has no use for.
control_groups() { findmnt -rn -t cgroup,cgroup2 -o TARGET,FSTYPE,FS-OPTIONS | grep '^/sys/fs/cgroup' | grep -v cpuset; }

enter_control_groups() {
  local target rest
  while read -r target rest; do
    mkdir -p "$target/$1"
    echo $$ >"$target/$1/cgroup.procs"
  done < <(control_groups)
}

mount_control_groups() {
  local root=$1 groups=$2 target type options
  [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  while read -r target type options; do
    mkdir -p "$root$target"
    options=${options#rw,}
    case $type:$options in
      cgroup:name=*) mount -t cgroup -o "none,$options" cgroup "$root$target" ;;
      cgroup:*) mount -t cgroup -o "$options" cgroup "$root$target" ;;
      *) mount -t cgroup2 cgroup2 "$root$target" ;;
    esac
  done <<<"$groups"
}

# Beside the units that were installed there are only the targets that they name.
write_targets() {
  local folder=$1 name
  mkdir -p "$folder/service.d"
  for name in basic multi-user network-online shutdown sysinit; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$folder/$name.target"
  done
  # There is no journal.
  printf '[Service]\nStandardOutput=append:/run/%%N.log\nStandardError=append:/run/%%N.log\n' >"$folder/service.d/log.conf"
}

make_root() {
  local folder=$1 root=$1/host/root groups
  groups=$(control_groups)
  mkdir "$folder/host"
  # Apart from the machine's root: a layer may not lie within another.
  mount -t tmpfs -o mode=755 tmpfs "$folder/host"
  mkdir "$root" "$folder/host/work"
  cp -a "$folder/installed" "$folder/host/upper"
  mount -t overlay -o "lowerdir=/,upperdir=$folder/host/upper,workdir=$folder/host/work" overlay "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t bpf bpf "$root/sys/fs/bpf"
  mount_control_groups "$root" "$groups"
  write_targets "$root/etc/systemd/targets"
}

boot() {
  make_root "$1"
  cd "$1/host/root"
  mkdir .old
  pivot_root . .old
  umount --lazy /.old
  # As an init does it: mounts that systemd makes for units have to be seen by all.
  mount --make-rshared /
  exec env -i PATH="$PATH" container=packetwatch SYSTEMD_UNIT_PATH=/usr/local/lib/systemd/system:/etc/systemd/targets \
    /lib/systemd/systemd --system --unit=multi-user.target --show-status=no
}

if [ "${3:-}" = boot ]; then
  boot "$2"
else
  enter_control_groups "$1"
  exec unshare --cgroup --mount --propagation private --pid --uts --ipc --fork --kill-child "$0" "$1" "$2" boot
fi
