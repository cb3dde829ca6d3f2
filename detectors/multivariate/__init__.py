"""Detectors that look at several variables, or at one vector, at a time.

They see what no marginal shows: two variables that each look as always, and no longer
move together. ``moments`` keeps what most of them need, mergeable and without raw rows:

- ``principal_components`` (reconstruction error) and ``correlation`` and ``jennrich``
  from second moments, O(d^2) numbers a window;
- ``mmd`` from means of ``fourier_features``, any change of the joint distribution;
- ``embedding`` (centroids) and ``sliced_energy`` for vectors of hundreds of dimensions;
- ``domain_classifier`` on a bounded sample of raw rows, which does not merge.

``band`` turns any of these numbers into a verdict from the windows of the reference.
Rows with a missing value (NaN) are left out whole and counted; infinite values are
refused. All that is fitted or merged here is a value: nothing is changed in place, so
that threads may share it.

Nothing is imported here; take what is needed from its module::

    from detectors.multivariate.moments import SecondMoments
"""
