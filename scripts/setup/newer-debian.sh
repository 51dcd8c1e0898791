# shellcheck shell=bash
# Fetches packages of a newer Debian suite and unpacks them into a folder, with
# an apt state of their own, so that the system stays as it is.
. "$(dirname "${BASH_SOURCE[0]}")/debian-source.sh"

newer_suite=forky

can_fetch_newer() { command -v apt-get >/dev/null && command -v dpkg >/dev/null; }

# unpack_newer FOLDER PACKAGE...: leaves the packages' files in FOLDER/unpacked, without what they depend on.
unpack_newer() {
  newer_home=$1
  shift
  rm -rf "$newer_home"
  mkdir -p "$newer_home"/{sources,state,lists/partial,cache/archives/partial,unpacked}
  if ! write_debian_source "$newer_suite" "$newer_home/sources"; then
    say "no Debian source for this machine's own release was found under /etc/apt"
    return 1
  fi
  quietly "${newer_home##*/}-update" private_apt update || return 1
  quietly "${newer_home##*/}-download" private_apt download "$@" || return 1
  for package in "$newer_home"/*.deb; do
    dpkg -x "$package" "$newer_home/unpacked" || return 1
  done
  rm -rf "$newer_home"/{state,lists,cache} "$newer_home"/*.deb
}

private_apt() {
  (cd "$newer_home" && apt-get -q \
    -o Dir::State="$newer_home/state" \
    -o Dir::State::Lists="$newer_home/lists" \
    -o Dir::State::status=/dev/null \
    -o Dir::Cache="$newer_home/cache" \
    -o Dir::Etc::SourceList=/dev/null \
    -o Dir::Etc::SourceParts="$newer_home/sources" \
    -o APT::Sandbox::User=root \
    -o Acquire::Languages=none \
    -o Acquire::Retries=3 \
    "$@")
}
