"""Tests that need an NVIDIA GPU: ``pytest -m gpu``. Without that option they are not selected.

Asked for where there is no GPU, they fail and say why: nothing here is skipped.
"""

import pytest

from rrelu_compat.kernels import cuda


@pytest.fixture(autouse=True)
def there_is_a_gpu():
    reason = cuda.missing(0)
    if reason is not None:
        pytest.fail(
            f"pytest -m gpu needs an NVIDIA GPU and the extra `cuda`: {reason}", pytrace=False
        )
