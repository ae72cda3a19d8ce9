# shellcheck shell=bash
# What build.sh and bench.sh share: they source this file. It finds trtexec and reads its version and engines.txt.
# The values that it sets are used by the scripts that source it.
# shellcheck disable=SC2034,SC2154

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit "${2:-1}"
}

# Prints the value of an option: `value "$@"`, where the option comes first.
value() {
  [[ $# -ge 2 && -n $2 ]] || fail "$1 needs a value; see --help." 2
  printf '%s' "$2"
}

# Sets `trtexec`: the program of --trtexec, of the variable TRTEXEC, of PATH, or where JetPack installs it.
find_trtexec() {
  trtexec=${trtexec:-${TRTEXEC:-}}
  if [[ -z $trtexec ]]; then
    trtexec=$(command -v trtexec || true)
  fi
  if [[ -z $trtexec && -x ${JETPACK_TRTEXEC:=/usr/src/tensorrt/bin/trtexec} ]]; then
    trtexec=$JETPACK_TRTEXEC
  fi
  if [[ -z $trtexec ]]; then
    fail "trtexec is neither in PATH nor at $JETPACK_TRTEXEC; install it (on a Jetson: sudo apt install libnvinfer-bin), or name it with --trtexec."
  fi
  if [[ ! -x $trtexec ]]; then
    fail "$trtexec is not a program that can be run; check the path."
  fi
}

# Sets `version`, such as 8.6, and `number`, such as 806, from what trtexec prints first: "TensorRT v8602" or "TensorRT v100300".
read_version() {
  local printed digits major minor
  printed=$("$trtexec" --help 2>&1 || true)
  digits=$(sed -n 's/.*\[TensorRT v\([0-9]\{4,6\}\)\].*/\1/p' <<<"$printed" | sed -n 1p)
  case ${#digits} in
    4) major=$((digits / 1000)) minor=$((digits / 100 % 10)) ;;
    5 | 6) major=$((digits / 10000)) minor=$((digits / 100 % 100)) ;;
    *) fail "$trtexec does not say which version of TensorRT it is of; is it trtexec?" ;;
  esac
  number=$((major * 100 + minor))
  version=$major.$minor
}

# `bundle` is the folder that the script is in.
# Sets `made_for`, `precision`, `typing`, `input`, and the lists `names`, `models`, `minimum`, `optimum` and `maximum` of engines.
# Lines are read as data: nothing of them is run.
read_engines() {
  local kind a b c d e _
  names=() models=() minimum=() optimum=() maximum=()
  [[ -r $bundle/engines.txt ]] || fail "$bundle/engines.txt is missing; copy the whole folder that dino8 wrote."
  while read -r kind a b c d e _; do
    case $kind in
      tensorrt) made_for=$a ;;
      precision) precision=$a ;;
      typing) typing=$a ;;
      input) input=$a ;;
      engine)
        if [[ ! $a =~ ^[0-9a-z]+([.][a-z]+)?$ || ! $b =~ ^model[0-9a-z.]*[.]onnx$ ]]; then
          fail "$bundle/engines.txt names an engine $a of $b, which dino8 does not write; copy the whole folder again."
        fi
        names+=("$a") models+=("$b") minimum+=("$c") optimum+=("$d") maximum+=("$e")
        ;;
      '' | '#'*) ;;
      *) fail "$bundle/engines.txt has a line that begins with $kind, which this script does not know; do not mix files of different versions of dino8." ;;
    esac
  done <"$bundle/engines.txt"
  [[ -n ${made_for:-} && ${#names[@]} -gt 0 ]] || fail "$bundle/engines.txt is damaged; copy the whole folder that dino8 wrote."
}

# Refuses names of engines that engines.txt does not have.
check_names() {
  local asked name known
  for asked in "$@"; do
    known=
    for name in "${names[@]}"; do
      if [[ $name == "$asked" ]]; then known=1; fi
    done
    [[ -n $known ]] || fail "there is no engine $asked; there are ${names[*]}." 2
  done
}

# Refuses a version of TensorRT that the models are not for.
check_version() {
  local fits
  case $made_for in
    8.5) fits=$((number == 805 || number == 806)) ;;
    8.6) fits=$((number == 806)) ;;
    10.3) fits=$((number >= 1003 && number < 1100)) ;;
    11) fits=$((number >= 1100 && number < 1200)) ;;
    *) fail "the bundle is for TensorRT $made_for, which this script does not know." ;;
  esac
  if ((fits)); then return; fi
  case $number in
    805 | 806) fail "this bundle is for TensorRT $made_for and the device has $version; export the model again with --tensorrt $version." ;;
    10[0-9][0-9]) fail "this bundle is for TensorRT $made_for and the device has $version; export the model again with --tensorrt 10.3, which is for 10.3 and later." ;;
    11[0-9][0-9]) fail "this bundle is for TensorRT $made_for and the device has $version; export the model again with --tensorrt 11." ;;
    *) fail "the device has TensorRT $version, which this script does not know; it knows 8.5, 8.6, 10.3 and later, and 11." ;;
  esac
}
