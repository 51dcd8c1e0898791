#!/usr/bin/env bash
# Mounts the BPF file system, where pinned programs and maps live.
set -euo pipefail
. "$(dirname "$0")/say.sh"

if mountpoint -q /sys/fs/bpf; then exit 0; fi
say "mounting bpffs on /sys/fs/bpf"
as_root mount -t bpf bpf /sys/fs/bpf ||
  fail "bpffs could not be mounted; its kernel option is CONFIG_BPF_SYSCALL, and a container needs it mounted from outside"
