"""Quaternions and small vectors in plain floats, for loops where an array costs more than its arithmetic.

Convention, everywhere in this project: quaternions are (w, x, y, z), Hamilton product, unit length; a body's
attitude ``q`` turns body coordinates into inertial ones, ``v_i = rotate(q, v_b)``. Body frame X forward, Y left,
Z up. Source: Shuster, "A survey of attitude representations", J. Astronautical Sciences 41(4), 1993, transposed
to Hamilton's product.
"""

from __future__ import annotations

from math import asin, atan2, copysign, cos, hypot, pi, sin, sqrt

__all__ = [
    "IDENTITY", "Quaternion", "Vec3", "add", "angle_between", "conjugate", "cross", "dot", "euler_from_quaternion",
    "multiply", "norm", "normalise", "quaternion_between", "quaternion_from_euler", "quaternion_from_rotation_vector",
    "rotate", "rotate_inverse", "rotation_angle", "rotation_vector", "scale", "subtract", "to_matrix", "unit",
]

Vec3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)


def add(a: Vec3, b: Vec3) -> Vec3:
    """Sum of two vectors."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def subtract(a: Vec3, b: Vec3) -> Vec3:
    """Difference of two vectors."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def scale(a: Vec3, s: float) -> Vec3:
    """Vector times scalar."""
    return (a[0] * s, a[1] * s, a[2] * s)


def dot(a: Vec3, b: Vec3) -> float:
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vec3, b: Vec3) -> Vec3:
    """Vector product a x b."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def norm(a: Vec3) -> float:
    """Euclidean length."""
    return hypot(a[0], a[1], a[2])


def unit(a: Vec3) -> Vec3:
    """Vector of length one along ``a``. Raises ZeroDivisionError for the zero vector."""
    s = 1.0 / hypot(a[0], a[1], a[2])
    return (a[0] * s, a[1] * s, a[2] * s)


def angle_between(a: Vec3, b: Vec3) -> float:
    """Angle between two vectors, rad, accurate for small and near-straight angles alike."""
    return atan2(norm(cross(a, b)), dot(a, b))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product a b: first turn by ``b``, then by ``a``."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def conjugate(q: Quaternion) -> Quaternion:
    """Inverse rotation of a unit quaternion."""
    return (q[0], -q[1], -q[2], -q[3])


def normalise(q: Quaternion) -> Quaternion:
    """Unit quaternion along ``q``. Raises ZeroDivisionError for the zero quaternion."""
    s = 1.0 / sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    return (q[0] * s, q[1] * s, q[2] * s, q[3] * s)


def rotate(q: Quaternion, v: Vec3) -> Vec3:
    """Coordinates of ``v`` after the rotation ``q`` (body to inertial for an attitude)."""
    w, x, y, z = q
    vx, vy, vz = v
    tx = 2.0 * (y * vz - z * vy)
    ty = 2.0 * (z * vx - x * vz)
    tz = 2.0 * (x * vy - y * vx)
    return (
        vx + w * tx + y * tz - z * ty,
        vy + w * ty + z * tx - x * tz,
        vz + w * tz + x * ty - y * tx,
    )


def rotate_inverse(q: Quaternion, v: Vec3) -> Vec3:
    """Coordinates of ``v`` under the inverse of ``q`` (inertial to body for an attitude)."""
    w, x, y, z = q
    vx, vy, vz = v
    tx = 2.0 * (z * vy - y * vz)
    ty = 2.0 * (x * vz - z * vx)
    tz = 2.0 * (y * vx - x * vy)
    return (
        vx + w * tx - y * tz + z * ty,
        vy + w * ty - z * tx + x * tz,
        vz + w * tz - x * ty + y * tx,
    )


def quaternion_from_rotation_vector(v: Vec3) -> Quaternion:
    """Rotation by ``|v|`` rad about ``v``."""
    angle = hypot(v[0], v[1], v[2])
    # Below 1e-8 rad sin(x/2)/x is 1/2 to the last bit of a double.
    s = sin(0.5 * angle) / angle if angle > 1e-8 else 0.5
    return (cos(0.5 * angle), v[0] * s, v[1] * s, v[2] * s)


def rotation_vector(q: Quaternion) -> Vec3:
    """Shortest rotation vector of ``q``, length 0..pi rad."""
    w, x, y, z = q if q[0] >= 0.0 else (-q[0], -q[1], -q[2], -q[3])
    n = hypot(x, y, z)
    s = 2.0 * atan2(n, w) / n if n > 1e-12 else 2.0
    return (x * s, y * s, z * s)


def rotation_angle(a: Quaternion, b: Quaternion) -> float:
    """Angle of the rotation that leads from ``a`` to ``b``, 0..pi rad."""
    w, x, y, z = multiply(conjugate(a), b)
    return 2.0 * atan2(hypot(x, y, z), abs(w))


def quaternion_between(a: Vec3, b: Vec3) -> Quaternion:
    """Shortest rotation that turns direction ``a`` into direction ``b``. For opposite vectors, any half turn."""
    a, b = unit(a), unit(b)
    w = 1.0 + dot(a, b)
    if w < 1e-9:
        side = (1.0, 0.0, 0.0) if abs(a[0]) < 0.9 else (0.0, 1.0, 0.0)
        x, y, z = unit(cross(a, side))
        return (0.0, x, y, z)
    x, y, z = cross(a, b)
    return normalise((w, x, y, z))


def quaternion_from_euler(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Attitude from roll, pitch, yaw in rad (turn about Z by yaw, then Y' by pitch, then X'' by roll)."""
    cr, sr = cos(0.5 * roll), sin(0.5 * roll)
    cp, sp = cos(0.5 * pitch), sin(0.5 * pitch)
    cy, sy = cos(0.5 * yaw), sin(0.5 * yaw)
    return (
        cy * cp * cr + sy * sp * sr,
        cy * cp * sr - sy * sp * cr,
        cy * sp * cr + sy * cp * sr,
        sy * cp * cr - cy * sp * sr,
    )


def euler_from_quaternion(q: Quaternion) -> Vec3:
    """Roll, pitch, yaw in rad; pitch in -pi/2..pi/2. For text only: it is singular at pitch 90 deg."""
    w, x, y, z = q
    sinp = 2.0 * (w * y - z * x)
    pitch = copysign(pi / 2, sinp) if abs(sinp) >= 1.0 else asin(sinp)
    return (
        atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)),
        pitch,
        atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)),
    )


def to_matrix(q: Quaternion) -> tuple[Vec3, Vec3, Vec3]:
    """Direction cosine matrix of ``q``, row by row: ``rotate(q, v) == M v``."""
    w, x, y, z = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
