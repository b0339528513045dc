"""Figures that say whether the house is still in order; printed, not judged, except where a rule does."""

from statistics import median

from tree import Tree


def report(tree: Tree) -> None:
    sizes = sorted(((len(file.lines), file.path) for file in tree.code if not file.is_test), reverse=True)
    if not sizes:
        return
    mains = [f"{file.folder.split('/')[1]} {len(file.lines)}" for file in tree.code
             if file.path.startswith("services/") and file.path.endswith("/main.cpp")]
    print(f"{len(sizes)} source files, median {median(size for size, _ in sizes):.0f} lines, "
          f"{sum(size > 300 for size, _ in sizes)} over 300 (longest {sizes[0][1]}: {sizes[0][0]}); "
          f"main.cpp: {', '.join(mains) or 'none'}")
