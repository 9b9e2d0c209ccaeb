"""Export: ONNX and TensorRT files, GPU kernels, TorchServe archives and Triton repositories (installed as ``infgen.export``)."""
