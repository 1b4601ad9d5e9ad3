"""How every fit that begins with a consensus begins."""

from .image_settings import ImageSettings
from .reconstruct_data import Data


def opened_data(config: ImageSettings) -> Data:
    """The images, once they are known to be fit for it; then compiled programs are kept, and the
    devices that memory allows taken. Raises as `load_data` does, before anything is written."""
    from ..inference.devices import keep_compilations, use_cpu_devices
    from .reconstruct_data import load_data
    from .reconstruct_method import affordable_devices, choose_method

    data = load_data(config)
    keep_compilations()
    method = choose_method("auto", data.size)
    use_cpu_devices(config.devices or affordable_devices(method, data.size))
    return data
