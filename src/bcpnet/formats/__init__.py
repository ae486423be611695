"""Files for phones and boards, made from ONNX: fixed sizes, LiteRT, NCNN; each compared in its own runtime."""
