"""What nannyml 0.13.1 reported for seeded samples, in its own convention.

Its dependencies cannot be installed beside the other peers', so its figures are kept
here: those of the ``Method`` classes of ``nannyml.drift.univariate.methods``, run with
default settings on these samples with numpy 2.4.6 and scipy 1.17.1. Every third numeric
reference is long enough for its 10,000 equal bins.
"""

from __future__ import annotations

import numpy as np
import pytest

from detectors.conventions import peer_score
from detectors.registry import Kind
from detectors.statistics.equal_width import ks_equal_width, wasserstein_equal_width
from detectors.statistics.histogram import atoms
from detectors.statistics.ks import ks
from detectors.statistics.wasserstein import wasserstein

pytestmark = pytest.mark.oracle

REPORTED: list[tuple[Kind, str, int, float]] = [
    ("numeric", "ks", 0, 0.2683333333333333),
    ("numeric", "jensen_shannon", 0, 0.43490480370706713),
    ("numeric", "hellinger", 0, 0.4175841435341929),
    ("numeric", "wasserstein", 0, 0.7206718144117017),
    ("numeric", "ks", 1, 0.15061224489795919),
    ("numeric", "jensen_shannon", 1, 0.19439875466917586),
    ("numeric", "hellinger", 1, 0.1659387599227536),
    ("numeric", "wasserstein", 1, 0.325140520979097),
    ("numeric", "ks", 2, 0.2519557823129252),
    ("numeric", "jensen_shannon", 2, 0.43997181484586434),
    ("numeric", "hellinger", 2, 0.4185919413102934),
    ("numeric", "wasserstein", 2, 0.7581391042145522),
    ("numeric", "ks", 3, 0.1295238095238095),
    ("numeric", "jensen_shannon", 3, 0.17495561314082198),
    ("numeric", "hellinger", 3, 0.15083571217961217),
    ("numeric", "wasserstein", 3, 0.2664972731897046),
    ("numeric", "ks", 4, 0.25333333333333335),
    ("numeric", "jensen_shannon", 4, 0.4334043906245069),
    ("numeric", "hellinger", 4, 0.413181674955474),
    ("numeric", "wasserstein", 4, 0.7842211735600946),
    ("numeric", "ks", 5, 0.10307823129249971),
    ("numeric", "jensen_shannon", 5, 0.14544993538129322),
    ("numeric", "hellinger", 5, 0.124269634501136),
    ("numeric", "wasserstein", 5, 0.25385240003134407),
    ("categorical", "chi_square", 0, 17.83563134978231),
    ("categorical", "jensen_shannon", 0, 0.07278466857741013),
    ("categorical", "hellinger", 0, 0.0606159573905633),
    ("categorical", "l_infinity", 0, 0.0855555555555556),
    ("categorical", "chi_square", 1, 579.0271139002506),
    ("categorical", "jensen_shannon", 1, 0.3910423775740092),
    ("categorical", "hellinger", 1, 0.3782196113809766),
    ("categorical", "l_infinity", 1, 0.24),
    ("categorical", "chi_square", 2, 94.11948703473139),
    ("categorical", "jensen_shannon", 2, 0.1632703073853563),
    ("categorical", "hellinger", 2, 0.1362579261266876),
    ("categorical", "l_infinity", 2, 0.1711111111111111),
    ("categorical", "chi_square", 3, 427.565466435349),
    ("categorical", "jensen_shannon", 3, 0.3318083384684136),
    ("categorical", "hellinger", 3, 0.3248265313991712),
    ("categorical", "l_infinity", 3, 0.19),
    ("categorical", "chi_square", 4, 127.62146334583181),
    ("categorical", "jensen_shannon", 4, 0.1906976831911721),
    ("categorical", "hellinger", 4, 0.15941057883620915),
    ("categorical", "l_infinity", 4, 0.15605555555555553),
    ("categorical", "chi_square", 5, 375.2135099000616),
    ("categorical", "jensen_shannon", 5, 0.3140773298255682),
    ("categorical", "hellinger", 5, 0.3036078846765997),
    ("categorical", "l_infinity", 5, 0.15444444444444444),
]


def numbers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal and exponential, with missing values; 900, 5,000 and 20,000 reference rows."""
    rng = np.random.default_rng(seed)
    n0 = [900, 5000, 20000][seed % 3]
    x = rng.normal(0, 1, n0) if seed % 2 else rng.exponential(2, n0)
    y = rng.normal(0.2, 1.3, 700) if seed % 2 else rng.normal(1.5, 2.5, 700)
    x[::50] = np.nan
    y[::7] = np.nan
    return x, y


def categories(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two categories and more; every other time one that the reference lacks."""
    rng = np.random.default_rng(100 + seed)
    n = 2 + seed
    shares = rng.integers(0, n, 2000).astype(str), n + seed % 2
    return shares[0], rng.choice(shares[1], 900, p=rng.dirichlet(np.full(shares[1], 8.0))).astype(
        str
    )


@pytest.mark.parametrize(("kind", "detector", "seed", "reported"), REPORTED)
def test_the_number_is_nannymls(kind: Kind, detector: str, seed: int, reported: float) -> None:
    x, y = numbers(seed) if kind == "numeric" else categories(seed)
    score = peer_score(detector, x, y, convention="nannyml", kind=kind)
    assert score.quantity == "statistic"
    assert score.value == pytest.approx(reported, rel=1e-9)


def test_equal_bins_are_near_the_exact_distances() -> None:
    x, y = (sample[~np.isnan(sample)] for sample in numbers(5))
    p, q, values = atoms(x, y)
    step = (x.max() - x.min()) / 10_000
    assert ks_equal_width(x, y) <= ks(p, q) + 1e-12
    # nannyml counts one row too many below the range.
    slack = step + (x.max() - x.min()) / len(y)
    assert abs(wasserstein_equal_width(x, y) - wasserstein(values, p, q)) <= slack
