"""One call of each large CUDA kernel, for a profiler: `ncu -k regex:langevin_f python bench/profile_kernels.py`."""

import bench_gru_decode
import langevin_implementations
import torch
from shapes import NETWORKS, DecodeShape, LangevinShape

if __name__ == "__main__":
    device = torch.device("cuda")
    problem = langevin_implementations.Problem.draw(LangevinShape(*NETWORKS[0], 16384), device)
    for precision in ("fp32", "fast"):
        langevin_implementations.own("native", precision)(problem, 10, 1.0)()
        for n_rows in (256, 1024):
            model = bench_gru_decode.Model.draw(DecodeShape(n_rows, max_tokens=2), device)
            bench_gru_decode.ours(model, True, "native", precision)()
    torch.cuda.synchronize()
