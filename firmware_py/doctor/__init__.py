"""What a computer offers a flight, and a board's bring-up checklist: what was found, what is allowed, the next step."""

from firmware_py.doctor.computer import (
    CAP_IPC_LOCK,
    CAP_SYS_NICE,
    check_clock_source,
    check_cpu,
    check_disk,
    check_governor,
    check_isolation,
    check_memory_lock,
    check_preemption,
    check_python,
    check_realtime_rights,
    check_temperature,
    check_throttling,
    check_time_sync,
    check_timer_resolution,
    check_wakeups,
    inspect,
    inspect_computer,
    wakeup_jitter,
)
from firmware_py.doctor.machine import (
    Check,
    Machine,
    Status,
    gpio_chip_label,
    kernel_clock_synchronised,
    module_present,
)
from firmware_py.doctor.nodes import check_board, check_libraries

__all__ = [
    "CAP_IPC_LOCK", "CAP_SYS_NICE", "Check", "Machine", "Status", "check_board", "check_clock_source", "check_cpu",
    "check_disk", "check_governor", "check_isolation", "check_libraries", "check_memory_lock", "check_preemption",
    "check_python", "check_realtime_rights", "check_temperature", "check_throttling", "check_time_sync",
    "check_timer_resolution", "check_wakeups", "gpio_chip_label", "inspect", "inspect_computer",
    "kernel_clock_synchronised", "module_present", "wakeup_jitter",
]
