"""The network and its post-processing as Triton kernels, for CUDA GPUs. Needs PyTorch and Triton, nothing else."""
