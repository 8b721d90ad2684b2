"""Numbers of fewer bits: their types, and where the CPU has fast products of them."""

from __future__ import annotations

import torch

from agents.options import Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def one_dnn_takes(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and computes in `dtype` on this CPU."""
    return torch.backends.mkldnn.is_available() and (
        dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
