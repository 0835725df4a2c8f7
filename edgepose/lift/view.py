"""Which camera sees the pictures: as a calibration file says, or with nothing known but its angle of view."""

from __future__ import annotations

from pathlib import Path

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.lift.camera import Camera


class View:
    """Gives the camera for pictures of a size."""

    def __init__(self, cfg: config.Lift) -> None:
        """Read the file that is set.

        Raises:
            ConfigError: it cannot be read, or holds more than one camera.
        """
        self._fov_deg, self._path = cfg.fov_deg, cfg.calibration
        self._fixed = _the_one(cfg.calibration) if cfg.calibration else None
        self._camera = self._fixed or Camera.with_view((1, 1), cfg.fov_deg)

    def camera(self, size_wh: tuple[int, int]) -> Camera:
        """The one that takes pictures of `size_wh` pixels.

        Raises:
            ConfigError: the calibration is for another size.
        """
        if size_wh != self._camera.size_wh:
            if self._fixed:
                ours, theirs = ("x".join(map(str, size)) for size in (size_wh, self._fixed.size_wh))
                raise ConfigError(
                    f"lift.calibration: {self._path} is for pictures of {theirs}, these are {ours}; calibrate at that "
                    "size, or leave it out and set lift.fov_deg"
                )
            self._camera = Camera.with_view(size_wh, self._fov_deg)
        return self._camera


def _the_one(path: str) -> Camera:
    from edgepose.lift.fuse.calibration import read_calibration

    cameras = read_calibration(Path(path))
    if len(cameras) != 1:
        names = ", ".join(camera.name for camera in cameras)
        raise ConfigError(f"lift.calibration: {path} holds {len(cameras)} cameras ({names}); give the file of this one")
    return cameras[0].camera
