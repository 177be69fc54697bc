# shellcheck shell=bash
# Sourced by build-servers, build-versions and build-tools: Go binaries, built from pinned modules into a cache folder.
# Who sources it sets `binaries`, the folder that they go to.

modules=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/real/go" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/watchslo

version_of() {  # MODULE FOLDER: the version that FOLDER/go.mod requires of MODULE
  awk -v module="$1" '{ for (i = 1; i < NF; i++) if ($i == module && $(i + 1) ~ /^v[0-9]/) { print $(i + 1); exit } }' "$modules/$2/go.mod"
}

progress() {  # Go names each package that it compiles and each module that it fetches: every hundredth is said
  local line packages=0 modules=0
  while read -r line; do
    case $line in
      "go: downloading "*) (( ++modules % 100 )) || echo "  $modules modules fetched" ;;
      *" "*) echo "$line" ;;
      *) (( ++packages % 100 )) || echo "  $packages packages compiled" ;;
    esac
  done
}

complete() {  # FOLDER BINARY...: are they all there?
  local folder=$1 binary
  shift
  for binary in "$@"; do
    [[ -x $folder/$binary ]] || { missing=$folder/$binary; return 1; }
  done
}

prepare() {  # makes the folder, and one inside for what is not finished; from now on Go says how far it is
  export GOFLAGS="${GOFLAGS:-} -v"
  exec 2> >(progress >&2)
  mkdir -p "$binaries"
  unfinished=$(mktemp -d "$binaries/.unfinished.XXXXXX")
  trap 'rm -rf "$unfinished"' EXIT
}

says_its_version() {  # VERSION OF KUBERNETES: the flags without which its programs say that they are v0.0.0
  local major minor component=k8s.io/component-base/version
  IFS=. read -r major minor _ <<<"${1#v}"
  echo "-X $component.gitVersion=$1 -X $component.gitMajor=$major -X $component.gitMinor=$minor"
}

build() {  # BINARY FOLDER PACKAGE [LDFLAGS [TAGS]]: a rename makes it appear whole or not at all, also beside a second build
  [[ -x $binaries/$1 ]] && return
  echo "building $1 ($3)"
  (cd "$modules/$2" && CGO_ENABLED=${CGO_ENABLED:-0} GOWORK=off nice -n 19 go build -mod=readonly -trimpath -ldflags "-s -w ${4:-}" -tags "${5:-}" -o "$unfinished/$1" "$3")
  mv "$unfinished/$1" "$binaries/$1"
}
