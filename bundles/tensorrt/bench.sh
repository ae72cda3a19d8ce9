#!/usr/bin/env bash
# Measures the engines that build.sh built: the time of a run, with the power mode, the clocks, the memory and the power of the
# device beside it, because the same board differs several times between power modes.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash bench.sh [OPTIONS] [ENGINE...]

Measures the engines that are named, such as 640x640, or all that were built, and writes one JSON file.

  --engines FOLDER    where the engines are (default: engines, beside this script)
  --output FILE       the file to write (default: bench.json in that folder)
  --duration SECONDS  how long each engine runs (default: 10)
  --trtexec PROGRAM   the trtexec to use (default: the one in PATH, or in /usr/src/tensorrt/bin)
  --dry-run           print the commands instead of running them
  -h, --help          print this text

For figures that can be compared, set the highest power mode and fixed clocks first: sudo nvpmodel -m 0 && sudo jetson_clocks
TEXT
}

bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=bundles/tensorrt/trtexec.sh
. "$bundle/trtexec.sh"

engines=$bundle/engines
output=
duration=10
trtexec=
dry_run=0
asked=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --engines)
      engines=$(value "$@")
      shift
      ;;
    --output)
      output=$(value "$@")
      shift
      ;;
    --duration)
      duration=$(value "$@")
      shift
      ;;
    --trtexec)
      trtexec=$(value "$@")
      shift
      ;;
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
[[ $duration =~ ^[1-9][0-9]{0,4}$ ]] || fail "--duration must be a number of seconds, not $duration." 2
output=${output:-$engines/bench.json}

read_engines
check_names ${asked[@]+"${asked[@]}"}
folder=$(dirname -- "$output")
if ! ((dry_run)) && [[ -d $engines && ! -w $folder ]]; then
  fail "$output cannot be written; name a file in a folder that exists with --output."
fi
find_trtexec
read_version
check_version

# Text as a JSON string, without control characters.
quoted() {
  printf '"%s"' "$(tr -d '\000-\011\013-\037' <<<"$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | paste -sd ' ' -)"
}
# A number, or null if there is none.
number_or_null() {
  if [[ $1 =~ ^[0-9]+(\.[0-9]+)?$ ]]; then printf '%s' "$1"; else printf 'null'; fi
}
# A figure of the line "GPU Compute Time: min = 1.2 ms, max = …" of trtexec.
figure() {
  sed -n "s/.*GPU Compute Time:.*[ ,]$1 = \([0-9.]*\) ms.*/\1/p" <"$2" | sed -n 1p
}
# The highest number that follows a word in the lines of tegrastats, such as RAM 2345/7620MB.
highest() {
  if [[ -s $2 ]]; then
    grep -oE "$1 [0-9]+" <"$2" | awk '{ if ($2 > most) most = $2 } END { if (NR) print most }'
  fi
}
lowest() {
  if [[ -s $2 ]]; then
    grep -oE "$1 [0-9]+" <"$2" | awk 'NR == 1 || $2 < least { least = $2 } END { if (NR) print least }'
  fi
}

# The rail of the most power that the board measures: the whole module, the GPU with what is beside it, or the GPU.
rail() {
  local each
  for each in VDD_IN VDD_GPU_SOC VDD_GPU; do
    if [[ -s $1 ]] && grep -qE "$each [0-9]" <"$1"; then
      printf '%s' "$each"
      return
    fi
  done
}

scratch=$(mktemp -d)
watching=
trap 'if [[ -n $watching ]]; then kill "$watching" 2>/dev/null || true; fi; rm -rf -- "$scratch"' EXIT

mode=
if command -v nvpmodel >/dev/null; then mode=$(nvpmodel -q 2>/dev/null || true); fi
clocks=
if command -v jetson_clocks >/dev/null; then clocks=$(jetson_clocks --show 2>/dev/null || true); fi
board=
if [[ -r /proc/device-tree/model ]]; then board=$(tr -d '\000' </proc/device-tree/model); fi

results=()
for index in "${!names[@]}"; do
  name=${names[index]}
  engine=$engines/$name.engine
  if [[ ${#asked[@]} -gt 0 ]]; then
    case " ${asked[*]} " in *" $name "*) ;; *) continue ;; esac
  fi
  if [[ ! -r $engine ]] && ! ((dry_run)); then
    [[ ${#asked[@]} -eq 0 ]] || fail "$engine is missing; build it with bash build.sh $name."
    continue
  fi
  command=("$trtexec" "--loadEngine=$engine" --warmUp=500 "--duration=$duration")
  # From TensorRT 11 on these are the defaults.
  if ((number < 1100)); then command+=(--useCudaGraph --useSpinWait --noDataTransfers); fi
  if [[ ${optimum[index]} != - ]]; then command+=("--shapes=$input:${optimum[index]}"); fi
  if ((dry_run)); then
    printf '%q ' "${command[@]}"
    printf '\n'
    continue
  fi
  printf 'Measuring %s for %s s.\n' "$engine" "$duration" >&2
  stats=$scratch/$name.stats
  if command -v tegrastats >/dev/null; then
    tegrastats --interval 200 >"$stats" 2>/dev/null &
    watching=$!
  fi
  log=$scratch/$name.log
  status=0
  "${command[@]}" >"$log" 2>&1 || status=$?
  if [[ -n $watching ]]; then
    kill "$watching" 2>/dev/null || true
    wait "$watching" 2>/dev/null || true
    watching=
  fi
  if ((status)); then
    tail -n 20 -- "$log" >&2
    fail "trtexec did not run $engine; build it again on this device with bash build.sh $name."
  fi
  median=$(figure median "$log")
  [[ -n $median ]] || fail "trtexec printed no GPU Compute Time for $engine, so there is nothing to report."
  measured=$(rail "$stats")
  results+=("$(printf '{"engine": %s, "median_ms": %s, "min_ms": %s, "max_ms": %s, "ram_peak_mb": %s, "ram_least_mb": %s, "gpu_use_peak_percent": %s, "power_rail": %s, "power_peak_mw": %s}' \
    "$(quoted "$name")" "$median" \
    "$(number_or_null "$(figure min "$log")")" "$(number_or_null "$(figure max "$log")")" \
    "$(number_or_null "$(highest RAM "$stats")")" "$(number_or_null "$(lowest RAM "$stats")")" \
    "$(number_or_null "$(highest GR3D_FREQ "$stats")")" \
    "$(quoted "$measured")" "$(number_or_null "$(highest "${measured:-none}" "$stats")")")")
done
if ((dry_run)); then exit 0; fi
[[ ${#results[@]} -gt 0 ]] || fail "there is no engine in $engines; build one with bash build.sh."

written=$output.partial
{
  printf '{\n "board": %s,\n "power_mode": %s,\n "clocks": %s,\n' "$(quoted "$board")" "$(quoted "$mode")" "$(quoted "$clocks")"
  printf ' "tensorrt": %s,\n "precision": %s,\n "seconds": %s,\n "engines": [\n' "$(quoted "$version")" "$(quoted "$precision")" "$duration"
  for index in "${!results[@]}"; do
    if ((index > 0)); then printf ',\n'; fi
    printf '  %s' "${results[index]}"
  done
  printf '\n ]\n}\n'
} >"$written"
mv -- "$written" "$output"
printf 'Wrote %s.\n' "$output"
