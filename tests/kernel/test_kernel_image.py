"""Packages, keys, modules and the first program of a guest: what is decided without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.kernel.guest import GuestError
from hil.kernel.image import PACKAGES, build, key_of, tools_for
from hil.kernel.packages import file_names, missing_tools
from hil.kernel.rig_kernel import first_init
from hil.kernel.rig_modules import closure, module_name, version_of
from hil.kernel.root_tree import MASKED, make_bootable

PLAN = """\
'scheme://archive/pool/main/s/systemd/systemd_252.39-1_arm64.deb' systemd_252.39-1_arm64.deb 3029304 SHA256:00
Reading package lists...
'scheme://archive/pool/main/a/adduser/adduser_3.134_all.deb' adduser_3.134_all.deb 116000 MD5Sum:00
"""
DEPENDENCIES = """\
kernel/net/can/can.ko:
kernel/net/can/can-raw.ko: kernel/net/can/can.ko
updates/spidev.ko: updates/spi.ko updates/gpiolib.ko
updates/spi.ko: updates/gpiolib.ko
updates/gpiolib.ko:
"""


def test_plan_of_apt_names_files_in_order() -> None:
    assert file_names(PLAN) == ["adduser_3.134_all.deb", "systemd_252.39-1_arm64.deb"]


def test_key_changes_with_a_version_and_with_the_recipe_and_with_nothing_else() -> None:
    names = ["a_1_all.deb", "b_2_all.deb"]
    assert key_of(names, [b"x"]) == key_of(list(names), [b"x"])
    assert len({key_of(names, [b"x"]), key_of(["a_1_all.deb", "b_3_all.deb"], [b"x"]), key_of(names, [b"y"])}) == 3
    assert key_of(["ab"], []) != key_of(["a", "b"], [])


def test_modules_come_after_what_they_need_and_only_once() -> None:
    order = closure(DEPENDENCIES, ["spidev", "can_raw", "spi", "vcan"])
    assert order == [
        "updates/gpiolib.ko", "updates/spi.ko", "updates/spidev.ko", "kernel/net/can/can.ko",
        "kernel/net/can/can-raw.ko",
    ]


def test_module_names_as_modprobe_has_them() -> None:
    assert module_name("kernel/net/can/can-raw.ko.xz") == "can_raw"


def test_source_is_of_exactly_the_kernels_version() -> None:
    assert version_of("6.1.176", ["6.1.192-2", "6.1.176-1"]) == "6.1.176-1"
    with pytest.raises(GuestError, match=r"6\.1\.17\b.*6\.1\.192-2"):
        version_of("6.1.17", ["6.1.192-2", "6.1.176-1"])


def test_first_program_loads_in_order_and_changes_to_the_disk() -> None:
    text = first_init(["virtio.ko", "ext4.ko"])
    assert text.startswith("#!/bin/busybox sh\n")
    assert "for m in virtio.ko ext4.ko;" in text
    assert "switch_root /root /lib/systemd/systemd" in text


def test_a_missing_tool_is_named_by_its_package() -> None:
    assert missing_tools({"sh": "dash", "no-such-tool-anywhere": "no-such-package"}) == ["no-such-package"]


def test_an_unknown_rig_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="no rig riscv; there are uml, amd64, arm64"):
        build("riscv", tmp_path, 0.0, lambda line: None)


def test_every_rig_names_its_emulator_and_no_package_twice() -> None:
    assert "qemu-system-aarch64" in tools_for("arm64")
    assert not any(tool.startswith("qemu") for tool in tools_for("uml"))
    assert len(set(PACKAGES)) == len(PACKAGES)


def test_an_extracted_tree_becomes_bootable(tmp_path: Path) -> None:
    for folder in ("etc", "usr/bin", "usr/share/base-passwd"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/share/base-passwd/passwd.master").write_text("root:*:0:0:root:/root:/bin/bash\n")
    (tmp_path / "usr/share/base-passwd/group.master").write_text("root:*:0:\nkvm:x:7:\n")
    make_bootable(tmp_path, ("pci", "gpio"))
    assert (tmp_path / "etc/passwd").read_text().startswith("root::0:")
    groups = (tmp_path / "etc/group").read_text()
    assert groups.count("kvm:") == 1
    assert "messagebus:x:" in groups
    units = tmp_path / "etc/systemd/system"
    assert all((units / name).readlink() == Path("/dev/null") for name in MASKED)
    trigger = (units / "systemd-udev-trigger.service.d/rig.conf").read_text()
    assert "--subsystem-match=pci --subsystem-match=gpio" in trigger
    assert (tmp_path / "usr/lib/qiki-inside/start").stat().st_mode & 0o111
