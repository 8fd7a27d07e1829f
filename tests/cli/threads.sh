#!/usr/bin/env bash
# How many threads: options, affinity, cores that share, quotas of cgroup v1 and v2. The machine's own files are covered by others
# in a mount namespace.
. "$(dirname "$0")/lib.bash"
unset ${!OMP_*} ${!GOMP_*}

# threads NAME EXPECTED COMMAND...: what `gpt2 doctor` says of its threads, when COMMAND runs it.
threads() {
  local name=$1 expected=$2 found
  shift 2
  run "$@" "$GPT2" doctor --no-probes
  found=$(sed -n 's/^threads *//p' "$T/out")
  if ((status == 0)) && [[ $found == $expected ]]; then
    ok "threads: $name"
  else
    not_ok "threads: $name" "status $status, \"$found\" instead of \"$expected\": $(head -c 200 "$T/err")"
  fi
}

threads "OMP_NUM_THREADS wins" "3 (OMP_NUM_THREADS)" env OMP_NUM_THREADS=3
threads "OMP_NUM_THREADS that is no number does not" "* physical core*" env OMP_NUM_THREADS=many
run "$GPT2" doctor --no-probes -t 2
check "threads: -t wins" out_has "2 (-t)"
run env OMP_NUM_THREADS=3 "$GPT2" generate --stats=json -n 2 -t 2 x
check "threads: -t wins over OMP_NUM_THREADS" err_has '"threads":2'
cpu=$(taskset -pc $$ | grep -oE '[0-9]+' | tail -n 1)
threads "one CPU of the affinity mask" "1 (1 physical core within *" taskset -c "$cpu"

# What the OpenMP runtime does with the threads that are asked for.
given() { threads "$1" "$2" env OMP_NUM_THREADS=3 "${@:3}"; }
given "OMP_THREAD_LIMIT leaves fewer" "2 (OMP_NUM_THREADS; OpenMP gives 2 of 3)" OMP_THREAD_LIMIT=2
given "OMP_MAX_ACTIVE_LEVELS=0 leaves one" "1 (OMP_NUM_THREADS; OpenMP gives 1 of 3)" OMP_MAX_ACTIVE_LEVELS=0
given "OMP_DYNAMIC may leave fewer" "[1-3] (OMP_NUM_THREADS*)" OMP_DYNAMIC=true
run "$GPT2" generate -s 1 -n 20 -t 1 x
cp "$T/out" "$T/one"
for setting in OMP_MAX_ACTIVE_LEVELS=0 OMP_THREAD_LIMIT=1 OMP_DYNAMIC=true OMP_WAIT_POLICY=passive OMP_WAIT_POLICY=active; do
  run timeout 60 env $setting "$GPT2" generate -s 1 -n 20 -t 2 x
  check "threads: the text under $setting" same "$T/out" "$T/one"
done
run env OMP_MAX_ACTIVE_LEVELS=0 "$GPT2" generate --stats=json -n 2 -t 2 x
check "threads: --stats counts the threads that OpenMP gives" err_has '"threads":1'
run env OMP_MAX_ACTIVE_LEVELS=0 "$GPT2" generate -n 2 -t 2 x
check "threads: fewer threads than asked for are told" err_has "gpt2: threads 1 (-t; OpenMP gives 1 of 2)"

# Where the runtime binds threads, it has bound the first before main.
run "$GPT2" doctor --no-probes
usual=$(sed -n 's/^threads *//p' "$T/out")
cpus=$(taskset -pc $$ | sed 's/.*: //')
for setting in OMP_PROC_BIND=true OMP_PROC_BIND=close OMP_PROC_BIND=spread OMP_PLACES=cores GOMP_CPU_AFFINITY="$cpus"; do
  threads "the process's CPUs under $setting" "$usual" env $setting
done
threads "one CPU, bound" "1 (1 physical core within *" env OMP_PROC_BIND=true taskset -c "$cpu"
threads "a place of one CPU" "1 (1 physical core within *" env OMP_PLACES="{$cpu}"

run env OMP_STACKSIZE=16k "$GPT2" generate -n 2 -t 2 x
error "threads: a stack that is too small" 2 OMP_STACKSIZE "at least 256k" "found 16k"
run env OMP_STACKSIZE=256k "$GPT2" generate -s 1 -n 20 -t 2 x
check "threads: the smallest stack" same "$T/out" "$T/one"

# machine COMMAND...: in a place where $T/cgroup is /sys/fs/cgroup, $T/self is /proc/self/cgroup and $T/cpu is /sys/devices/system/cpu.
machine() {
  unshare -rm bash -c 'mount --bind "$1/cgroup" /sys/fs/cgroup && mount --bind "$1/self" /proc/$$/cgroup &&
    mount --bind "$1/cpu" /sys/devices/system/cpu || exit 99; shift; exec "$@"' - "$T" "$@"
}
mkdir "$T/cgroup"
echo "0::/" >"$T/self"
n_cpus=$(nproc)
# cores EACH: CPUs whose topology says that EACH of them share a core.
cores() {
  rm -rf "$T/cpu"
  for ((i = 0; i < 64; ++i)); do
    mkdir -p "$T/cpu/cpu$i/topology"
    echo $((i / $1)) >"$T/cpu/cpu$i/topology/core_id"
    echo 0 >"$T/cpu/cpu$i/topology/physical_package_id"
  done
}
cores 1
machine true 2>/dev/null || { skip "threads: quotas and shared cores" "no mount namespace for this user"; finish; }

# quota V2_OR_V1 FOLDER LIMIT PERIOD: files of a group.
quota() {
  mkdir -p "$T/cgroup/$2"
  if [ "$1" = v2 ]; then
    echo "$3 $4" >"$T/cgroup/$2/cpu.max"
  else
    echo "$3" >"$T/cgroup/$2/cpu.cfs_quota_us"
    echo "$4" >"$T/cgroup/$2/cpu.cfs_period_us"
  fi
}
threads "each CPU a core" "$n_cpus ($n_cpus physical core*" machine
cores 64
threads "64 CPUs of one core" "1 (1 physical core within *" machine
cores 1

quota v2 . max 100000
threads "v2, no quota" "$n_cpus ($n_cpus physical core*" machine
quota v2 . 50000 100000
threads "v2, half a CPU at the root" "1 (cgroup quota of 0.5 CPUs)" machine
rm -r "$T/cgroup"/*
echo "0::/a.slice/b.scope" >"$T/self"
quota v2 a.slice/b.scope 90000 100000
threads "v2, a group of its own" "1 (cgroup quota of 0.9 CPUs)" machine
quota v2 a.slice 40000 100000
threads "v2, the parent's quota is tighter" "1 (cgroup quota of 0.4 CPUs)" machine
quota v2 a.slice 6400000 100000
quota v2 a.slice/b.scope max 100000
threads "v2, more than the cores" "$n_cpus ($n_cpus physical core*" machine
if ((n_cpus > 1)); then
  quota v2 a.slice 190000 100000
  threads "v2, 1.9 CPUs are one thread" "1 (cgroup quota of 1.9 CPUs)" machine
fi

rm -r "$T/cgroup"/*
echo "4:cpu,cpuacct:/job/step" >"$T/self"
quota v1 cpu,cpuacct/job/step 70000 100000
threads "v1, a group of its own" "1 (cgroup quota of 0.7 CPUs)" machine
quota v1 cpu,cpuacct/job/step -1 100000
threads "v1, -1 is no quota" "$n_cpus ($n_cpus physical core*" machine
quota v1 cpu,cpuacct/job 30000 100000
threads "v1, the parent's quota" "1 (cgroup quota of 0.3 CPUs)" machine
rm -r "$T/cgroup"/*
echo "1:cpu:/elsewhere" >"$T/self"
quota v1 cpu 20000 100000
threads "v1, a container that sees its group as the root" "1 (cgroup quota of 0.2 CPUs)" machine
finish
