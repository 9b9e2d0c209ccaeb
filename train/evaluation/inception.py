"""The standard network of FID, KID and IS: the Inception-v3 of the original TensorFlow code, as torch-fidelity has it."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infgen.errors import InputError, ModelFileError, one_line
from infgen.extras import require_extra
from infgen.perceptual import fetch_weights, hash_weights, read_weights


def _library() -> Any:
    """torch-fidelity's module of the network. Raises MissingExtraError, and InputError where its torchvision is broken."""
    try:
        with require_extra("fid", "each of FID, KID and IS", otherwise="choose fd-vgg instead"):
            from torch_fidelity import feature_extractor_inceptionv3
    except RuntimeError as error:  # a torchvision built for another PyTorch
        raise InputError(
            f"torch-fidelity cannot be imported ({str(error).splitlines()[0][:200]}); install the torchvision that "
            "belongs to this PyTorch, or ask for fd-vgg instead"
        ) from None
    return feature_extractor_inceptionv3


class InceptionFeatures:
    """Inception-v3, 2048 pooled features of the picture scaled to 299 px by TensorFlow's rule: what FID is defined on.

    ``path``: torch-fidelity's weight file (or the same tensors as safetensors); None: PyTorch's cache, or a download into
    it. Raises MissingExtraError, InputError and ModelFileError as the module's functions say.
    """

    name, width = "inception", 2048

    def __init__(self, path: Path | None = None, *, device: torch.device | str = "cpu") -> None:
        library = _library()
        if path is None:
            weights = fetch_weights(library.URL_INCEPTION_V3, what="Inception-v3", option="--inception-weights")
        else:
            weights = read_weights(path)
        # The library unpickles whatever its file holds; it gets a copy made here from tensors that were read safely.
        with tempfile.TemporaryDirectory(prefix=".infgen-") as folder:
            copy = Path(folder) / "weights.pt"
            torch.save(dict(weights), copy)
            try:
                network = library.FeatureExtractorInceptionV3(
                    "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(copy)
                )
            except RuntimeError as error:
                reason = one_line(error)
                raise ModelFileError(
                    f"weights {path} do not fit torch-fidelity's Inception-v3 ({reason}); give its weight file"
                ) from None
        self._network = network.eval().requires_grad_(False).to(device)
        self._device = torch.device(device)
        self.key = hash_weights(self._network)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) uint8 -> (B, 2048) float32."""
        features: Tensor = self._network(images.to(self._device))[0]
        return features.float().cpu()

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Features (N, 2048) -> class logits without their bias (N, 1008): what the Inception Score is defined on.

        The classifier is linear in the pooled features, so pictures need not pass through the network again.
        """
        weight: Tensor = self._network.fc.weight
        return features.to(weight) @ weight.T
