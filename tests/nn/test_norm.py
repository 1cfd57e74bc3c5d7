"""The hand-written gradient of RMSNorm against autograd's."""

import torch
import torch.nn.functional as F

from tessera.nn.norm import RMSNorm


def _gradients(out: torch.Tensor, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((out.float() * weight).sum(), inputs)


def test_rms_norm() -> None:
    norm = RMSNorm(12, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 12, requires_grad=True)
    plain = norm.weight * F.rms_norm(x, (12,), eps=1e-3)
    torch.testing.assert_close(norm(x), plain)
    inputs = [x, norm.weight]
    torch.testing.assert_close(_gradients(norm(x), inputs), _gradients(plain, inputs))
    with torch.no_grad():
        torch.testing.assert_close(norm(x), plain)
    assert norm.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
