"""How good a model is: outcomes as mergeable counters, metrics of them, and evidence.

``grid`` has the bins of scores, ``counters`` what is counted of each joined row, ``confusion``
the rates of a confusion matrix, ``areas`` the areas under ROC and precision-recall curves,
``calibration`` how probable scores are, ``regression`` the errors of numbers. ``two_samples``
and ``paired`` are evidence that one rate exceeds another, and ``label_given_score`` that the
same scores mean something else than in the reference. ``groups`` compares rates of groups,
``maturity`` learns how late labels come, ``estimated`` and ``loss_tree`` are performance
without labels.
"""
