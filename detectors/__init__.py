"""The mathematics: arrays in, numbers out; nothing here reads, waits or logs.

Statistics of two histograms, one file each: ``psi``, ``kl``, ``ks``, ``wasserstein``,
``energy``, ``jensen_shannon``, ``hellinger``, ``total_variation``, ``chi_square``,
``l_infinity``, ``shift``, ``cramer_von_mises``, ``anderson_darling``, ``kuiper``,
``mann_whitney``, ``welch_t``, ``quantile_shift``, ``g_test``, ``fisher_exact``,
``two_proportion_z``, ``cramers_v``, ``unseen``. ``registry`` lists them by name, and
``conventions`` gives the number that a peer reports. ``sequential`` holds the detectors
that read a stream value by value. ``histogram`` checks counts and
bins raw samples as the peers do, ``deciles`` joins bins. ``checks`` judges data
quality, ``fairness`` rates of groups. ``evaluate`` applies all of them to a window at
once, and ``decision`` is the rule that decides whether a change is real. ``seasonal``
compares with the same hour of the week, ``contributions`` and ``slice_search`` say where
a change is, and ``multiple_tests`` keeps a list of findings honest. ``text_statistics``,
``vector_statistics`` and ``date_statistics`` make numbers of what is none, and
``heavy_hitters`` counts what is common in bounded memory. ``kernels`` hold what is compiled.

Nothing is imported here, because a command that only prints its help must not pay
for numpy; take what is needed from its module::

    from detectors.evaluate import evaluate
"""
