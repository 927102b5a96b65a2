"""Arrows between modules: contracts are in .importlinter; here, that none goes round in a circle."""

from graphlib import TopologicalSorter

import grimp


def test_no_module_needs_itself_by_way_of_others():
    graph = grimp.build_graph("backend", "dashboard", exclude_type_checking_imports=True, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(needs) > 200
    TopologicalSorter(needs).prepare()  # raises a CycleError that names the circle
