"""Rules that are wrong are refused where they are read: the key path, what came, what was probably meant."""

from __future__ import annotations

import pytest

from edgepose.core.errors import ConfigError
from edgepose.core.poses import AIC14, BLAZEPOSE4
from edgepose.meaning import rules_of
from samples.bodies import meaning_of
from samples.toml import tomllib

ZONE = '[[zone]]\nname = "bed"\npolygon_px = [[10, 10], [100, 10], [100, 100], [10, 100]]\n'
GROUND = (
    "[ground]\npoints_px = [[100, 100], [500, 100], [600, 400], [50, 400]]\n"
    "points_m = [[0, 0], [3, 0], [3, 4], [0, 4]]\n"
)
REPS = '[[rule]]\nkind = "reps"\n'

WRONG = {
    "no such kind": ('[[rule]]\nkind = "fal"', r"rule\[0\].kind: 'fal' is no kind of rule; did you mean fall\?"),
    "no kind": ('[[rule]]\nname = "x"', r"rule\[0\].kind is missing"),
    "no such setting": ('[[rule]]\nkind = "fall"\ndowns_s = 1.0', r"downs_s is not a setting; did you mean down_s\?"),
    "no such signal": (REPS + 'signal = "nee"\nenter = 1\nexit = 2', r"rule\[0\].signal: 'nee' is no signal; did you"),
    "no such zone": (ZONE + '[[rule]]\nkind = "zone"\nzone = "bad"', r"rule\[0\].zone: 'bad' is no zone; did you mean"),
    "no such zone to be in": (ZONE + '[[rule]]\nkind = "fall"\nnot_in = ["bet"]', r"not_in: 'bet' is no zone"),
    "no such gesture": ('[[rule]]\nkind = "gesture"\ngestures = ["weve"]', r"weve.* did you mean wave"),
    "in and not in": (ZONE + '[[rule]]\nkind = "fall"\nwithin = ["bed"]\nnot_in = ["bed"]', "within and in not_in"),
    "two of one name": ('[[rule]]\nkind = "fall"\n[[rule]]\nkind = "fall"', r"rule\[1\]: 'fall' is there already"),
    "two zones of one name": (ZONE + ZONE, r"zone\[1\]: 'bed' is there already"),
    "exit is enter": (REPS + 'signal = "knee"\nenter = 70\nexit = 70', "exit is enter"),
    "no enter": (REPS + 'signal = "knee"', "needs enter and exit"),
    "enter of auto": (REPS + "enter = 70\nexit = 30", "enter and exit are for a declared signal"),
    "periods crossed": (REPS + 'signal = "knee"\nenter = 70\nexit = 30\nmin_period_s = 9\nmax_period_s = 3', "min_period"),  # noqa: E501
    "no time": ('[[rule]]\nkind = "fall"\ndown_s = 0', r"down_s is 0, expected float > 0"),
    "negative time": ('[[rule]]\nkind = "zone"\nzone = "a"\nenter_s = -1.0', r"enter_s is -1.0, expected"),
    "loitering too soon": (ZONE + '[[rule]]\nkind = "zone"\nzone = "bed"\nloiter_s = 0.1', "less than enter_s"),
    "two corners": ('[[zone]]\nname = "a"\npolygon_px = [[1, 1], [2, 2]]', r"zone\[0\].polygon_px \(a\) has 2 points"),
    "crossing itself": (
        '[[zone]]\nname = "a"\npolygon_px = [[0, 0], [90, 90], [90, 0], [0, 90]]', r"crosses itself between",
    ),
    "no area": ('[[zone]]\nname = "a"\npolygon_px = [[0, 0], [9, 9], [18, 18]]', "encloses nothing"),
    "outside": ('[[zone]]\nname = "a"\npolygon_px = [[0, 0], [900, 0], [0, 90]]', r"\[900, 0\] is outside the picture"),
    "zone or line": ('[[rule]]\nkind = "zone"', "needs either zone or line_px"),
    "line of one point": ('[[rule]]\nkind = "zone"\nline_px = [[1, 1]]', "line_px has 1 points"),
    "near without ground": ('[[rule]]\nkind = "near"', r"rule\[0\]: near needs metres; add \[ground\]"),
    "near to a bed": (GROUND + ZONE + '[[rule]]\nkind = "near"\nzone = "bed"', "is of kind area, expected robot"),
    "stop before warning": (GROUND + '[[rule]]\nkind = "near"\nwarn_m = 1.0\nstop_m = 2.0', "not below warn_m"),
    "three points": ("[ground]\npoints_px = [[0, 0], [1, 0], [1, 1]]\npoints_m = [[0, 0], [1, 0], [1, 1]]", "has 3 and"),  # noqa: E501
    "on one line": (
        "[ground]\npoints_px = [[0, 0], [50, 0], [100, 0], [0, 90]]\npoints_m = [[0, 0], [1, 0], [2, 0], [0, 1]]",
        "lie on one line",
    ),
    "one bracket": ('[rule]\nkind = "fall"', r"write \[\[rule\]\] with two brackets"),
    "too many": ('[[rule]]\nkind = "fall"\n' * 201, "has 201 entries, expected at most 200"),
    "no such function": ('[[rule]]\nkind = "user"\nfunction = "nobody"', "is no function that is a rule"),
    "no such file": ('[[rule]]\nkind = "gesture"\ntaught = "nowhere.json"', "nowhere.json: No such file"),
    "no such axis": ('[[rule]]\nkind = "control"\naxes = ["leen"]', r"axes\[0\]: 'leen' is no axis; did you mean lean"),
}  # fmt: skip


@pytest.mark.parametrize(("toml", "says"), WRONG.values(), ids=WRONG)
def test_it_is_refused(toml: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^rules.toml: .*{says}"):
        meaning_of(toml)


def test_two_hundred_rules_are_taken() -> None:
    toml = "".join(f'[[rule]]\nkind = "fall"\nname = "r{n}"\n' for n in range(200))
    assert len(meaning_of(toml).rules) == 200


def test_a_settings_file_may_hold_other_tables() -> None:
    raw = tomllib.loads('camera = "hall"\n[engine]\nthreads = 2\n[[rule]]\nkind = "fall"\n')
    assert [rule.called for rule in rules_of(raw, "edgepose.toml").rules] == ["fall"]


@pytest.mark.parametrize("skeleton", [AIC14, BLAZEPOSE4], ids=lambda one: one.name)
def test_a_skeleton_without_the_joints_a_rule_needs_is_refused(skeleton: object) -> None:
    with pytest.raises(ConfigError, match=r"'attention' needs .*left_eye.*, which the skeleton"):
        meaning_of('[[rule]]\nkind = "attention"\n', skeleton=skeleton)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "{", '{"schema": "edgepose.taught/1"}', '{"schema": "x", "examples": {}}', "[[[["]
)
def test_a_damaged_file_of_gestures_is_refused(tmp_path, text: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "taught.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is damaged, or no file of `edgepose meaning teach`"):
        meaning_of(f'[[rule]]\nkind = "gesture"\ntaught = "{path}"\n')
