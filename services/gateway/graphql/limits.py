"""How much an operation asks for: every selected field costs one, at each place where its fragment is used."""

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode

Size = tuple[int, int]  # cost and depth


def size_of(operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]) -> Size:
    """Of a valid operation. What is below ``__schema`` costs nothing: a rule of validation bounds it."""
    return _Measure(fragments).selection(operation.selection_set)


class _Measure:
    """Each fragment is measured once: spreads of spreads would grow without bound otherwise."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, Size] = {}

    def selection(self, selections: SelectionSetNode | None) -> Size:
        cost, depth = 0, 0
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                below = self.selection(node.selection_set)
                found = (0, 0) if node.name.value == "__schema" else (below[0] + 1, below[1] + 1)
            elif isinstance(node, InlineFragmentNode):
                found = self.selection(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                found = self._fragment(node.name.value)
            cost, depth = cost + found[0], max(depth, found[1])
        return cost, depth

    def _fragment(self, name: str) -> Size:
        if name not in self._known:
            self._known[name] = self.selection(self._fragments[name].selection_set)
        return self._known[name]
