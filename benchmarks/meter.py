"""Processor time: what each process took, and what was taken by others than the benchmark."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import psutil

# Above this share of the machine's processors, others have spoilt what was measured meanwhile.
FOREIGN: Final = 0.1
_PROCESSORS: Final = psutil.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks at one moment, in seconds: `used` by process id, `busy` of all processors."""

    at: float
    busy: float
    used: Mapping[int, float]
    parents: Mapping[int, int]

    @classmethod
    def take(cls) -> Self:
        """Read them now."""
        used, parents = {}, {}
        for process in psutil.process_iter(["ppid", "cpu_times"]):
            times = process.info["cpu_times"]
            if times is not None:  # else it is not ours to look at
                # With the time of children that have ended, as far as the system tells.
                used[process.pid] = float(sum(times[:4]))
                parents[process.pid] = process.info["ppid"]
        system = psutil.cpu_times()
        idle = system.idle + getattr(system, "iowait", 0.0)
        # A guest's time is in its user's already.
        guests = getattr(system, "guest", 0.0) + getattr(system, "guest_nice", 0.0)
        return cls(time.perf_counter(), sum(system) - idle - guests, used, parents)

    def family(self, pid: int) -> float:
        """What a process and all its descendants have used."""
        members: Sequence[int] = [pid]
        total = 0.0
        while members:
            total += sum(self.used.get(member, 0.0) for member in members)
            members = [child for child, parent in self.parents.items() if parent in members]
        return total


def foreign_share(before: Reading, after: Reading, own: int) -> float:
    """The share of all processors that went to others than the process `own` and its family."""
    mine = after.family(own) - before.family(own)
    others = after.busy - before.busy - mine
    # The system counts in hundredths of a second, so that a little less than none is possible.
    return max(0.0, others / (after.at - before.at) / _PROCESSORS)
