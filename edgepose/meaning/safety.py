"""Distances that standards ask for. What is computed from a camera like this is not safety rated."""

from __future__ import annotations

WALK_M_S = 1.6
"""Speed of a human who walks: ISO 13855, ISO/TS 15066."""
REACH_M_S = 2.0
"""Of a hand, for short distances: ISO 13855."""
SHORT_M = 0.5


def protective_distance_m(stop_s: float, intrusion_m: float) -> float:
    """S = K T + C of ISO 13855:2010, metres: K is 2 m/s as long as S is at most 0.5 m, else 1.6 m/s and S at least 0.5.

    stop_s       T, from seeing somebody to standing still
    intrusion_m  C
    """
    near = REACH_M_S * stop_s + intrusion_m
    return near if near <= SHORT_M else max(SHORT_M, WALK_M_S * stop_s + intrusion_m)


def separation_m(
    *, human_m_s: float, robot_m_s: float, reaction_s: float, stop_s: float, robot_stop_m: float,
    intrusion_m: float, human_error_m: float, robot_error_m: float,
) -> float:  # fmt: skip
    """S_p of ISO/TS 15066, 5.5.4, metres: S_h + S_r + S_s + C + Z_d + Z_r with constant speeds.

    S_h  human_m_s * (reaction_s + stop_s)
    S_r  robot_m_s * reaction_s
    S_s  robot_stop_m, the way it still goes while it stops
    """
    human_way = human_m_s * (reaction_s + stop_s)
    return human_way + robot_m_s * reaction_s + robot_stop_m + intrusion_m + human_error_m + robot_error_m


def braking_m(robot_m_s: float, decelerates_m_s2: float) -> float:
    """v^2 / 2a, the way of a robot that brakes evenly."""
    return robot_m_s * robot_m_s / (2 * decelerates_m_s2)


def speed_limit_m_s(
    distance_m: float, *, human_m_s: float, reaction_s: float, decelerates_m_s2: float, least_m: float
) -> float:
    """The fastest a robot may go at that distance and stop in time, m/s; at least 0.

    v_max = sqrt(v_h^2 + (a t_r)^2 + 2 a (d - d_min)) - (a t_r + v_h)
    """
    a, t, v = decelerates_m_s2, reaction_s, human_m_s
    inside = v * v + (a * t) ** 2 + 2 * a * (distance_m - least_m)
    return max(0.0, inside**0.5 - (a * t + v)) if inside > 0 else 0.0
