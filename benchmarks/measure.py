"""What the operating system says a process and all its descendants used: CPU time and memory."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over the processes of a proxy, in MiB. RSS counts shared pages once per process, PSS once in all."""

    rss: float
    pss: float
    peak: float


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, ())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of all threads of these processes."""
    return sum(int(fields[11]) + int(fields[12]) for pid in pids if (fields := _stat(pid))) / TICKS


def memory(pids: list[int]) -> Memory:
    rolls = [_table(pid, "smaps_rollup") for pid in pids]
    peaks = [_table(pid, "status").get("VmHWM", 0) for pid in pids]
    rss, pss = (sum(roll.get(key, 0) for roll in rolls) for key in ("Rss", "Pss"))
    return Memory(rss / KIB_PER_MIB, pss / KIB_PER_MIB, sum(peaks) / KIB_PER_MIB)


def machine() -> dict[str, str]:
    """What a reader must know about where the figures come from."""
    cpu = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ": ?"
    )
    total = int(Path("/proc/meminfo").read_text().split()[1]) / KIB_PER_MIB / KIB_PER_MIB
    return {
        "cpu": f"{os.cpu_count()} x {cpu.partition(':')[2].strip()}",
        "memory": f"{total:.0f} GiB",
        "kernel": f"{os.uname().sysname} {os.uname().release}",
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: the name before them may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _table(pid: int, name: str) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: int(value.split()[0]) for key, _, value in pairs if value.strip().endswith("kB")}
