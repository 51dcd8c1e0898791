# shellcheck shell=bash
# Where this machine reads its own Debian release, pointed at any suite: no mirror is named in these scripts.

own_codename() { (. /etc/os-release && printf '%s' "${VERSION_CODENAME:-stable}"); }

# write_debian_source SUITE FOLDER: leaves debian.sources or debian.list in FOLDER; fails where nothing was found.
# The release's security and update archives have other suites, and are left out.
write_debian_source() {
  local suite=$1 folder=$2 codename file
  codename=$(own_codename)
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && deb822_source "$file" "$codename" "$suite" >"$folder/debian.sources"
    [ -s "$folder/debian.sources" ] && return 0
  done
  rm -f "$folder/debian.sources"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] && one_line_source "$file" "$codename" "$suite" >"$folder/debian.list"
    [ -s "$folder/debian.list" ] && return 0
  done
  return 1
}

deb822_source() {
  awk -v codename="$2" -v suite="$3" '
    function stanza_is_wanted() { return types ~ / deb / && suites ~ " (" codename "|stable|oldstable) " && !disabled }
    function end_stanza() {
      if (!found && stanza_is_wanted()) { printf "%s", stanza; found = 1 }
      stanza = types = suites = ""; disabled = 0
    }
    /^[[:space:]]*$/ { end_stanza(); next }
    /^#/ { next }
    /^Types:/ { types = " " substr($0, 7) " "; $0 = "Types: deb" }
    /^Suites:/ { suites = " " substr($0, 8) " "; $0 = "Suites: " suite }
    /^Components:/ { $0 = "Components: main" }
    /^Enabled:[[:space:]]*no/ { disabled = 1 }
    { stanza = stanza $0 "\n" }
    END { end_stanza() }
  ' "$1"
}

one_line_source() {
  sed -nE "s/^(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?[^[:space:]]+)[[:space:]]+($2|stable|oldstable)[[:space:]].*/\1 $3 main/p" "$1" |
    head -n 1
}
