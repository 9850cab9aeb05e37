"""Makes an extracted Debian tree bootable: what package scripts would have done, and nothing idle started."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["DEVICES_SETTLED", "MASKED", "START", "make_bootable"]

DEVICES_SETTLED = ("pci", "virtio", "net", "misc", "watchdog", "i2c-dev", "spidev", "gpio", "tty", "block")
"""Subsystems whose devices are announced at boot; announcing all of them costs 15 s under emulation."""
MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
    "systemd-timesyncd.service", "systemd-resolved.service", "systemd-pstore.service", "systemd-firstboot.service",
    "systemd-hwdb-update.service", "ldconfig.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.mount",
    "proc-sys-fs-binfmt_misc.automount", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "systemd-logind.service", "systemd-user-sessions.service", "systemd-random-seed.service",
    "systemd-machine-id-commit.service", "modprobe@dm_mod.service", "modprobe@drm.service",
    "modprobe@efi_pstore.service", "modprobe@loop.service", "dev-hugepages.mount", "dev-mqueue.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "getty.target", "e2scrub_reap.service", "e2scrub_all.timer",
    "fstrim.timer", "dpkg-db-backup.timer", "apt-daily.timer", "apt-daily-upgrade.timer",
)
GROUPS = {"messagebus": 990, "systemd-journal": 991, "systemd-network": 992, "render": 993, "input": 995, "kvm": 996}
START = """\
#!/bin/sh
# Mounts the folder that the host shares and runs what the host wants done in it.
share=$(sed -n 's/.*qiki\\.share=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
mkdir -p /mnt/host
case "$share" in
    /*) mount -t hostfs -o "$share" none /mnt/host ;;
    *) modprobe -a 9pnet_virtio 9p
       mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 "$share" /mnt/host ;;
esac
cd /mnt/host/inside
exec /usr/bin/python3 -B -m hil.kernel.inside_main
"""
UNIT = """\
[Unit]
Description=What the host wants done in this guest
After=sysinit.target dbus.socket
DefaultDependencies=yes

[Service]
Type=exec
ExecStart=/usr/lib/qiki-inside/start
StandardOutput=journal+console
StandardError=journal+console
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
"""
TRIGGER = "[Service]\nExecStart=\nExecStart=-udevadm trigger --action=add {matches}\n"


def make_bootable(root: Path, subsystems: tuple[str, ...]) -> None:
    """Finish an extracted tree. Raises OSError.

    Args:
        root: of the tree.
        subsystems: whose devices are announced at boot.
    """
    _accounts(root)
    _configuration(root)
    units = root / "etc/systemd/system"
    for folder in ("sockets.target.wants", "multi-user.target.wants", "systemd-udev-trigger.service.d"):
        (units / folder).mkdir(parents=True, exist_ok=True)
    (units / "sockets.target.wants/dbus.socket").symlink_to("/lib/systemd/system/dbus.socket")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    matches = " ".join(f"--subsystem-match={name}" for name in subsystems)
    (units / "systemd-udev-trigger.service.d/rig.conf").write_text(TRIGGER.format(matches=matches))
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    (units / "qiki-inside.service").write_text(UNIT)
    (units / "multi-user.target.wants/qiki-inside.service").symlink_to("../qiki-inside.service")
    start = root / "usr/lib/qiki-inside/start"
    start.parent.mkdir(parents=True)
    start.write_text(START)
    start.chmod(0o755)


def _accounts(root: Path) -> None:
    for name in ("passwd", "group"):
        target = root / "etc" / name
        if not target.exists():
            shutil.copy(root / f"usr/share/base-passwd/{name}.master", target)
    users = root / "etc/passwd"
    users.write_text(users.read_text().replace("root:*:", "root::"))
    # Only known where systemd is; the guest runs it again at its boot.
    if shutil.which("systemd-sysusers"):
        subprocess.run(["systemd-sysusers", f"--root={root}"], capture_output=True, check=False)
    groups = root / "etc/group"
    known = {line.split(":")[0] for line in groups.read_text().splitlines()}
    with groups.open("a") as file:
        file.writelines(f"{name}:x:{number}:\n" for name, number in GROUPS.items() if name not in known)
    if not any(line.startswith("messagebus:") for line in users.read_text().splitlines()):
        with users.open("a") as file:
            file.write("messagebus:x:990:990::/nonexistent:/usr/sbin/nologin\n")
    shadow = root / "etc/shadow"
    if not shadow.exists():
        names = [line.split(":")[0] for line in users.read_text().splitlines()]
        shadow.write_text("".join(f"{name}:{'' if name == 'root' else '*'}:19000:0:99999:7:::\n" for name in names))
        shadow.chmod(0o640)


def _configuration(root: Path) -> None:
    etc = root / "etc"
    names = etc / "nsswitch.conf"
    if not names.exists() or not names.read_text().strip():
        names.write_text("passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files\n")
    (etc / "hosts").write_text("127.0.0.1 localhost rig\n")
    (etc / "hostname").write_text("rig\n")
    (etc / "machine-id").write_text("11111111222222223333333344444444\n")
    (etc / "fstab").write_text("")
    mtab = etc / "mtab"
    mtab.unlink(missing_ok=True)
    mtab.symlink_to("../proc/self/mounts")
    awk = root / "usr/bin/awk"
    if not awk.exists():
        awk.symlink_to("mawk")
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "root", "var/tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)
