"""Export: ONNX files, kernels and archives for the runtimes that people deploy on."""
