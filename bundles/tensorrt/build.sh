#!/usr/bin/env bash
# Builds TensorRT engines from the models of this folder, with the options that the device's trtexec takes.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash build.sh [OPTIONS] [ENGINE...]

Builds the engines that are named, such as 640x640, or one for each size. The engine "any" takes all sizes between the
smallest and the largest, and is slower than one for a fixed size. Engines run only on the kind of device and with the
version of TensorRT that built them.

  --output FOLDER     where the engines go (default: engines, beside this script)
  --workspace MIB     memory that TensorRT may use while it builds and runs (default: 1024)
  --fp16              TensorRT 8 only: let it choose FP16 for what is not in INT8. It is faster and may be wrong: reports of
                      this kind of model found no boxes in FP16. Check it with python3 compare.py
  --trtexec PROGRAM   the trtexec to use (default: the one in PATH, or in /usr/src/tensorrt/bin)
  --dry-run           print the commands instead of running them
  -h, --help          print this text
TEXT
}

bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=bundles/tensorrt/trtexec.sh
. "$bundle/trtexec.sh"

output=$bundle/engines
workspace=1024
trtexec=
fp16=0
dry_run=0
asked=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --output)
      output=$(value "$@")
      shift
      ;;
    --workspace)
      workspace=$(value "$@")
      shift
      ;;
    --trtexec)
      trtexec=$(value "$@")
      shift
      ;;
    --fp16) fp16=1 ;;
    --dry-run) dry_run=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) fail "there is no option $1; see --help." 2 ;;
    *) asked+=("$1") ;;
  esac
  shift
done
[[ $workspace =~ ^[1-9][0-9]{0,6}$ ]] || fail "--workspace must be a number of MiB, not $workspace." 2

read_engines
check_names ${asked[@]+"${asked[@]}"}
find_trtexec
read_version
check_version
if ((fp16)) && [[ $typing == strong ]]; then
  fail "--fp16 is for TensorRT 8; in this bundle the types in the models decide the precision." 2
fi

# The engines to build: those that are named, or all of a fixed size.
chosen=()
for index in "${!names[@]}"; do
  if [[ ${#asked[@]} -eq 0 ]]; then
    [[ ${minimum[index]} != - ]] || chosen+=("$index")
  fi
done
for name in ${asked[@]+"${asked[@]}"}; do
  for index in "${!names[@]}"; do
    if [[ ${names[index]} == "$name" ]]; then chosen+=("$index"); fi
  done
done

# The options that do not depend on the engine.
flags=("--memPoolSize=workspace:$workspace" "--timingCacheFile=$output/timing.cache")
if ((number < 806)); then flags+=(--buildOnly); else flags+=(--skipInference); fi
if [[ $typing == strong ]]; then
  # TensorRT 11 knows strong typing only.
  if ((number < 1100)); then flags+=(--stronglyTyped); fi
else
  if [[ $precision == int8 ]]; then flags+=(--int8); fi
  if ((fp16)); then flags+=(--fp16); fi
fi

if ! ((dry_run)); then mkdir -p -- "$output"; fi
partial=
trap 'if [[ -n $partial ]]; then rm -f -- "$partial"; fi' EXIT
for index in "${chosen[@]}"; do
  name=${names[index]}
  engine=$output/$name.engine
  partial=$engine.partial
  command=("$trtexec" "--onnx=$bundle/${models[index]}" "--saveEngine=$partial" "${flags[@]}")
  if [[ ${minimum[index]} != - ]]; then
    command+=("--minShapes=$input:${minimum[index]}" "--optShapes=$input:${optimum[index]}" "--maxShapes=$input:${maximum[index]}")
  fi
  if ((dry_run)); then
    printf '%q ' "${command[@]}"
    printf '\n'
    continue
  fi
  printf 'Building %s with TensorRT %s; this takes minutes. The log is %s.\n' "$engine" "$version" "$output/$name.log"
  if ! "${command[@]}" >"$output/$name.log" 2>&1; then
    tail -n 20 -- "$output/$name.log" >&2
    fail "trtexec did not build $name; the whole log is $output/$name.log."
  fi
  [[ -s $partial ]] || fail "trtexec wrote no engine for $name; the log is $output/$name.log."
  mv -- "$partial" "$engine"
  printf 'Built %s. Check it: python3 compare.py --size %s\n' "$engine" "$name"
done
partial=
