"""Simulated twins of the buses: they speak drivers.bus.protocol to flight software and carry real bytes to chips."""

from hil.bus.gpio import SimGpioBus
from hil.bus.i2c import I2cChip, I2cSwitch, SimI2cBus
from hil.bus.serial import SerialChip, SimSerialBus
from hil.bus.spi import SimSpiBus, SpiChip

__all__ = [
    "I2cChip", "I2cSwitch", "SerialChip", "SimGpioBus", "SimI2cBus", "SimSerialBus", "SimSpiBus", "SpiChip",
]
