# SPDX-License-Identifier: Apache-2.0
"""Realtime inference of robot policies: images, prompt and state in, an action chunk out.

    import flash_rt
    model = flash_rt.load_model("checkpoint", precision="int8")
    actions = model.predict([base, wrist], prompt="pick up the cup", state=state)  # float32 [horizon, action_dim]
"""

from flash_rt._load import load_model, save_random_model
from flash_rt._model import VLAModel
from flash_rt._native import Error
from flash_rt._native import version as __version__

Error.__module__ = "flash_rt"

__all__ = ["Error", "VLAModel", "__version__", "load_model", "save_random_model"]
